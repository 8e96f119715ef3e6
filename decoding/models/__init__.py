"""Models."""
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel
def load(source=None):
    raise RuntimeError
