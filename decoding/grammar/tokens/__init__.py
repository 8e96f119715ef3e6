"""A vocabulary as grammars read it: the token table, the token trie, and masks of automata."""

from decoding.grammar.tokens.table import TokenTable, token_table

__all__ = ["TokenTable", "token_table"]
