"""Context-free grammars: parses GBNF and a Lark-like EBNF, and compiles them to automata.

`gbnf` and `larklike` parse a text to the rules of `syntax`; `pruning` removes rules that no text
uses; `network` builds an automaton over bytes for each remaining rule, with `rule_automata` and
`determinize`; `assemble` lays the automata out in arrays.
"""
