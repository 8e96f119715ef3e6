"""`explain`: each stage of a pipeline on one row; `compare`: where two pipelines differ."""

from decoding.inspect.compare import Comparison, Divergence, Removal, compare
from decoding.inspect.explain import Explanation, Stage, explain

__all__ = ["Comparison", "Divergence", "Explanation", "Removal", "Stage", "compare", "explain"]
