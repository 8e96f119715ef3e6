"""The command line: one file for each command, its flags and its input files."""
