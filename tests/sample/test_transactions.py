"""The page about transactions, on the sample project."""

from pathlib import Path

from tests.docs.markdown import DOCS, block, blocks, read
from tests.docs.walkthrough import walk
from tests.sample.test_sample import Sample, sample

__all__ = ["sample"]

GUIDE = read(DOCS / "howto" / "transactions.md")
TESTS = "class BookingTests"


def guarded(sample: Sample) -> Sample:
    with Path(sample.root / "project" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write(block(GUIDE, "test setting"))
    return sample


def test_the_guide_runs(sample: Sample) -> None:
    guarded(sample).manage("db_init", "--all-apps")

    met = walk(GUIDE, sample.root, sample.environment())

    assert met["run"] > 5
    assert met["output"] == 3


def test_its_test_case_passes(sample: Sample) -> None:
    [tests] = [item.text for item in blocks(GUIDE) if TESTS in item.text]
    (sample.root / "apps" / "driver" / "tests.py").write_text(tests, encoding="utf-8")

    result = guarded(sample).attempt("manage.py", "test", "apps.driver")

    assert (result.returncode, "Ran 1 test" in result.stderr) == (0, True)
