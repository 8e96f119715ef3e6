"""Adapters: run pipelines, grammars or the loop in other engines, or their models here.

One module for each engine, with the name of the engine's package. Nothing else of this library
imports an adapter, an adapter imports no other adapter, and importing an adapter does not import
its engine: the functions do that. The verbs are the same in each module, which has those that its
engine has a place for:

    processor(pipeline, ...)     what the engine calls to change logits, in the engine's own form
    sampler(sampler, ...)        what the engine calls to draw a token, in the engine's own form
    generate(...)                the loop of this library behind the engine's own entry point
    forward(model, ...)          the engine's model as a `decoding.models.CachedModel`
    tokenizer(tokenizer)         the engine's tokenizer as a `decoding.vocabulary.Tokenizer`
    language_model(model, ...)   both, with end tokens and sizes, as a `decoding.LanguageModel`
    export(grammar)              a `decoding.Grammar` in the engine's own grammar format

`processor` and `sampler` take what `decoding.BatchSampler` takes: a `Pipeline` or a processor, a
`Sampler`; presets (`decoding.presets`) make pipelines of an engine's own parameter names. What an
engine hands over is converted once, at the seam, by the functions of `decoding.logits`; what it
gets back has the type, the dtype and the device of what it gave. What an engine cannot do raises
`UnsupportedFeatureError`, a missing engine `MissingDependencyError`.
"""
