"""Regular languages: expressions, regular expressions, and finite automata over bytes."""
