"""The JSON of OpenAI's API, where it is not TGI's: what requests say, and what answers look like.

Requests are read to the fields of TGI's, whose rules and texts then hold for both.
Source: OpenAI's API reference, "Chat" and "Completions"; TGI 3.3.6, router/src/lib.rs.
"""
