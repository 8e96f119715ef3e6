"""Context-free grammars as text, in two notations, and the networks of automata they become.

`gbnf` and `larklike` read a text into `rules`; `prepare` drops what no text can use; `fragments`,
`determine` and `network` make automata over bytes, one for every rule that stays a rule.
"""
