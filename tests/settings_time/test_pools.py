"""Pool settings by their well-known names, as Django's pool of psycopg takes them."""

from __future__ import annotations

import inspect
from typing import Any

import psycopg_pool
import pytest

from appdb_router.exceptions import ConfigurationError
from appdb_router.pools import ENGINE_OPTION_NAMES, QUERY_NAMES, read_pool, read_query

NAMES = (
    "'max_idle', 'max_lifetime', 'max_overflow', 'max_size', 'max_waiting', 'min_size',"
    " 'num_workers', 'pool', 'pool_pre_ping', 'pool_recycle', 'pool_size', 'pool_timeout',"
    " 'reconnect_timeout', 'timeout'"
)


@pytest.mark.parametrize(
    ("options", "pool", "health_checks"),
    [
        ({}, None, None),
        ({"pool_pre_ping": True}, None, True),
        ({"pool_pre_ping": False}, None, False),
        ({"pool": True}, {"min_size": 0, "max_size": 4}, None),
        ({"pool": True, "min_size": 2}, {"min_size": 2, "max_size": 4}, None),
        ({"pool_size": 5}, {"min_size": 0, "max_size": 5}, None),
        ({"pool_size": 5, "max_overflow": 10}, {"min_size": 0, "max_size": 15}, None),
        ({"pool_size": 1, "max_overflow": 0}, {"min_size": 0, "max_size": 1}, None),
        ({"pool_timeout": 9}, {"min_size": 0, "max_size": 4, "timeout": 9}, None),
        ({"pool_recycle": 1800}, {"min_size": 0, "max_size": 4, "max_lifetime": 1800}, None),
        ({"min_size": 2}, {"min_size": 2, "max_size": 4}, None),
        ({"min_size": 9}, {"min_size": 9, "max_size": 9}, None),
        ({"max_size": 3, "min_size": 3}, {"min_size": 3, "max_size": 3}, None),
        (
            {
                "max_idle": 60,
                "max_lifetime": 0.5,
                "max_waiting": 0,
                "num_workers": 1,
                "reconnect_timeout": 2.5,
                "timeout": 3,
                "pool_pre_ping": True,
            },
            {
                "max_idle": 60,
                "max_lifetime": 0.5,
                "max_size": 4,
                "max_waiting": 0,
                "min_size": 0,
                "num_workers": 1,
                "reconnect_timeout": 2.5,
                "timeout": 3,
            },
            True,
        ),
    ],
)
def test_good(
    options: dict[str, Any], pool: dict[str, float] | None, health_checks: bool | None
) -> None:
    before = dict(options)

    complete = pool and {"reconnect_timeout": 5, **pool}
    assert read_pool(options, "X") == (complete, health_checks)
    assert options == before


COUNT = "is a whole number from"


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"size": 5}, f"ENGINE_OPTIONS has no 'size'. The names are {NAMES}."),
        ({1: 1, "size": 5}, f"ENGINE_OPTIONS has no 'size', 1. The names are {NAMES}."),
        ({"check": 1, "size": 5}, f"ENGINE_OPTIONS has no 'check', 'size'. The names are {NAMES}."),
        ({"pool_pre_ping": "yes"}, "pool_pre_ping is True or False."),
        ({"pool_pre_ping": 1}, "pool_pre_ping is True or False."),
        *(
            (
                {"pool": value},
                "'pool' is True or left out. A pool is tuned by 'max_idle', 'max_lifetime',"
                " 'max_overflow', 'max_size', 'max_waiting', 'min_size', 'num_workers',"
                " 'pool_recycle', 'pool_size', 'pool_timeout', 'reconnect_timeout', 'timeout'.",
            )
            for value in (False, 5, {"min_size": 1})
        ),
        ({"pool_timeout": 1, "timeout": 1}, "'pool_timeout' and 'timeout' are the same. Keep one."),
        (
            {"pool_recycle": 1, "max_lifetime": 2},
            "'pool_recycle' and 'max_lifetime' are the same. Keep one.",
        ),
        ({"max_overflow": 5}, "max_overflow needs pool_size beside it."),
        (
            {"pool_size": 5, "max_size": 5},
            "pool_size and max_size exclude each other: max_size is pool_size + max_overflow.",
        ),
        ({"min_size": 5, "max_size": 4}, "min_size is larger than max_size."),
        ({"min_size": 5, "pool_size": 4}, "min_size is larger than max_size."),
        ({"pool_size": 0}, f"pool_size {COUNT} 1 up."),
        ({"pool_size": "5"}, f"pool_size {COUNT} 1 up."),
        ({"pool_size": True}, f"pool_size {COUNT} 1 up."),
        ({"pool_size": 5, "max_overflow": -1}, f"max_overflow {COUNT} 0 up."),
        ({"pool_size": 5, "max_overflow": 1.5}, f"max_overflow {COUNT} 0 up."),
        ({"min_size": -1}, f"min_size {COUNT} 0 up."),
        ({"max_size": 0}, f"max_size {COUNT} 1 up."),
        ({"max_waiting": None}, f"max_waiting {COUNT} 0 up."),
        ({"num_workers": 0}, f"num_workers {COUNT} 1 up."),
        ({"timeout": 0}, "timeout is a number of seconds above 0."),
        ({"pool_timeout": -1}, "timeout is a number of seconds above 0."),
        ({"pool_recycle": "1h"}, "max_lifetime is a number of seconds above 0."),
        ({"max_idle": True}, "max_idle is a number of seconds above 0."),
        ({"max_idle": float("nan")}, "max_idle is a number of seconds above 0."),
    ],
)
def test_bad(options: dict[str, Any], fact: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_pool(options, "driver/database.py")

    assert str(raised.value) == f"driver/database.py: {fact}"


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, {}),
        ({"pool": "true"}, {"pool": True}),
        ({"pool": "True", "pool_min_size": "2"}, {"pool": True, "min_size": 2}),
        ({"pool_size": "5", "max_overflow": "10"}, {"pool_size": 5, "max_overflow": 10}),
        ({"pool_timeout": "2.5"}, {"pool_timeout": 2.5}),
        ({"pool_recycle": "1e3"}, {"pool_recycle": 1000.0}),
        ({"pool_pre_ping": "TRUE"}, {"pool_pre_ping": True}),
        ({"pool_pre_ping": "false"}, {"pool_pre_ping": False}),
        (
            {"pool_max_size": "3", "pool_max_idle": "60", "pool_reconnect_timeout": "9"},
            {"max_size": 3, "max_idle": 60, "reconnect_timeout": 9},
        ),
        ({"pool_size": "many"}, {"pool_size": "many"}),
    ],
)
def test_query(parameters: dict[str, str], options: dict[str, Any]) -> None:
    assert read_query(parameters, "X") == options


@pytest.mark.parametrize("text", ["false", "5", "yes"])
def test_the_query_can_only_switch_a_pool_on(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_query({"pool": text}, "X")

    assert str(raised.value) == (
        "X: the parameter 'pool' is 'true' or left out. A pool is tuned by 'max_overflow',"
        " 'pool_max_idle', 'pool_max_lifetime', 'pool_max_size', 'pool_max_waiting',"
        " 'pool_min_size', 'pool_num_workers', 'pool_reconnect_timeout', 'pool_recycle',"
        " 'pool_size', 'pool_timeout'."
    )


def test_every_name_can_be_written_in_a_url() -> None:
    assert len(QUERY_NAMES) == len(ENGINE_OPTION_NAMES) - 1  # both timeouts are pool_timeout
    assert all(name.startswith("pool") or name == "max_overflow" for name in QUERY_NAMES)


def test_the_pool_of_psycopg_takes_every_argument() -> None:
    every = {
        "pool_size": 5,
        **{name: 1 for name in ENGINE_OPTION_NAMES if "pool" not in name and "over" not in name},
    }
    del every["max_size"]
    pool, _ = read_pool(every, "X")

    assert pool is not None
    arguments = inspect.signature(psycopg_pool.ConnectionPool).parameters
    assert pool.keys() <= arguments.keys()
    assert "check" not in pool
