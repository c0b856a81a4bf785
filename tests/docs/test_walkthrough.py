"""What the blocks of a page ask for is done, and a wrong page is found."""

from pathlib import Path

import pytest

from tests.docs.walkthrough import checked, walk

PAGE = """\
<!-- write notes/one.txt -->
```text
one
```

<!-- append notes/one.txt -->
```text
two
```

<!-- run -->
```shell
cat notes/one.txt
```

<!-- output -->
```text
one

two
```

<!-- file notes/one.txt -->
```text
one

two
```

<!-- run -->
```python
answer = 42
```

It is known:

<!-- run -->
```python
if answer:
    print("yes")
    answer  # 42
```

<!-- output -->
```text
yes
```
"""


# As far as it is needed here: what is behind -c is run.
MANAGE = "import sys\n\nexec(sys.argv[-1])\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(MANAGE, encoding="utf-8")
    return tmp_path


def test_a_page_is_done(folder: Path) -> None:
    met = walk(PAGE, folder, {})
    assert met == {"write": 1, "append": 1, "run": 3, "output": 2, "file": 1}


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("cat notes/one.txt", "cat notes/none.txt", "No such file"),
        ("output -->\n```text\none\n", "output -->\n```text\nthree\n", "shown:\nthree"),
        ("txt -->\n```text\none\n\ntwo", "txt -->\n```text\none\n\nthree", "shown:\none\n\nthree"),
        ("answer  # 42", "answer  # 43", r"assert \(answer\) == \(43\)"),
        ("text\nyes", "text\nno", "shown:\nno"),
        ("answer = 42", "answer = 42 / 0", "ZeroDivisionError"),
    ],
    ids=["command", "output", "file", "value", "output of Python", "Python"],
)
def test_what_is_wrong_is_found(folder: Path, right: str, wrong: str, message: str) -> None:
    assert PAGE.count(right) == 1
    with pytest.raises(AssertionError, match=message):
        walk(PAGE.replace(right, wrong), folder, {})


def test_a_shown_value_is_checked_where_it_stands() -> None:
    code = "x = 1\nif x:\n    x  # 1\n"
    assert checked(code) == "x = 1\nif x:\n    assert (x) == (1)\n"
