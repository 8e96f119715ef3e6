"""What a pipeline does to one row of logits (`explain`), and where two differ (`compare`)."""

from decoding.inspect.compare import Comparison, Divergence, Removal, compare
from decoding.inspect.explain import Explanation, Stage, explain

__all__ = ["Comparison", "Divergence", "Explanation", "Removal", "Stage", "compare", "explain"]
