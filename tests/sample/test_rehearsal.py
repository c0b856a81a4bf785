"""The page about rehearsals, on the sample project."""

from tests.docs.markdown import DOCS, read
from tests.docs.walkthrough import walk
from tests.sample.test_sample import Sample, sample

__all__ = ["sample"]


def test_the_guide_runs(sample: Sample) -> None:
    met = walk(read(DOCS / "howto" / "rehearse.md"), sample.root, sample.environment())

    assert (met["write"], met["run"], met["output"]) == (3, 3, 4)
