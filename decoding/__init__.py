"""A decoding and sampling engine: logits in, tokens and their details out."""
