"""The environment's variables: misspelt, unmatched, somebody else's; and the names they go by."""

from __future__ import annotations

import pytest

from appdb_router.exceptions import ConfigurationError, UnknownLabelError
from appdb_router.naming import allowed_edits, edits, may_name_a_database, variable_of
from appdb_router.variables import check_variables

LABELS = ["driver", "invoices", "auth", "crm", "hr", "trip_log"]


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "abd", 1),
        ("abc", "ab", 1),
        ("abc", "xabc", 1),
        ("abc", "acb", 1),
        ("abc", "bac", 1),
        ("abcd", "badc", 2),
        ("abc", "axyc", 2),
        ("abc", "xyz", 3),
        ("abc", "abcdef", 3),
        ("abcdefgh", "hgfedcba", 3),
        ("ca", "abc", 3),
    ],
)
def test_edits(left: str, right: str, distance: int) -> None:
    assert edits(left, right, 2) == edits(right, left, 2) == distance


@pytest.mark.parametrize(
    ("label", "allowed"), [("a", 0), ("hr", 0), ("crm", 1), ("auth", 1), ("trips", 2)]
)
def test_allowed_edits(label: str, allowed: int) -> None:
    assert allowed_edits(label) == allowed


def test_variable_of() -> None:
    assert variable_of("trip_log") == "TRIP_LOG_DATABASE_URL"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("X_DATABASE_URL", True),
        ("x_database_url", True),
        ("X_DATABSE_URL", True),
        ("X_DATABASE_URLS", True),
        ("X_DATABASE_DIRECT_URL", True),
        ("X_DATABASE_DIREKT_URL", True),
        ("XDATABASE_URL", True),
        ("DATABASEURL", True),
        ("PATH", False),
        ("SUBTRAHEND_L", False),
        ("SUBTRACTED_LABEL", False),
        ("X_URL", False),
        ("DATABASE_URL_OF_X", False),
        ("", False),
    ],
)
def test_may_name_a_database(name: str, expected: bool) -> None:
    assert may_name_a_database(name) is expected


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # Of the label.
        ("DRIVR_DATABASE_URL", "DRIVER_DATABASE_URL"),
        ("DIRVER_DATABASE_URL", "DRIVER_DATABASE_URL"),
        ("DRIVERS_DATABASE_URL", "DRIVER_DATABASE_URL"),
        ("DRIBERS_DATABASE_URL", "DRIVER_DATABASE_URL"),
        ("TRIPLOG_DATABASE_URL", "TRIP_LOG_DATABASE_URL"),
        ("TRIP-LOG_DATABASE_URL", "TRIP_LOG_DATABASE_URL"),
        ("INVOICE_DATABASE_URL", "INVOICES_DATABASE_URL"),
        ("AUHT_DATABASE_URL", "AUTH_DATABASE_URL"),
        ("CMR_DATABASE_URL", "CRM_DATABASE_URL"),
        # Of the suffix.
        ("DRIVER_DATABSE_URL", "DRIVER_DATABASE_URL"),
        ("DRIVER_DATABASE_URI", "DRIVER_DATABASE_URL"),
        ("DRIVER_DATABASES_URLS", "DRIVER_DATABASE_URL"),
        ("DRIVER_DATABAE_UR", "DRIVER_DATABASE_URL"),
        ("DRIVER_DATABASES_URI", "DRIVER_DATABASE_URL"),
        ("DRIVERDATABASE_URL", "DRIVER_DATABASE_URL"),
        ("HR_DATABASEURL", "HR_DATABASE_URL"),
        ("CRM_DATBAASE_URL", "CRM_DATABASE_URL"),
        # Of case.
        ("driver_database_url", "DRIVER_DATABASE_URL"),
        ("Driver_Database_Url", "DRIVER_DATABASE_URL"),
        ("hr_database_url", "HR_DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        # Of the default.
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_URLS", "DATABASE_URL"),
        ("_DATABASE_URL", "DATABASE_URL"),
        # Of direct URLs.
        ("DRIVR_DATABASE_DIRECT_URL", "DRIVER_DATABASE_DIRECT_URL"),
        ("DRIVER_DATABASE_DIRCT_URL", "DRIVER_DATABASE_DIRECT_URL"),
        ("DRIVER_DATABASE_DIRECT_URI", "DRIVER_DATABASE_DIRECT_URL"),
        ("hr_database_direct_url", "HR_DATABASE_DIRECT_URL"),
        ("DATABASE_DIRECTURL", "DATABASE_DIRECT_URL"),
    ],
)
def test_misspelt(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_variables({name: "", "DRIVER_DATABASE_URL": "x"}, LABELS)

    assert str(raised.value) == (
        f"The environment variable {name!r} belongs to no installed app. Did you mean {meant!r}?"
        f" If it is another program's, pass ignore=({name!r},) to build_databases()."
    )
    assert check_variables({name: ""}, LABELS, ignore=[name]) == []


@pytest.mark.parametrize(
    ("names", "unmatched"),
    [
        ([], []),
        (["DATABASE_URL", "DRIVER_DATABASE_URL", "HR_DATABASE_URL"], []),
        (["PATH", "HOME", "DATABASE_HOST", "DRIVER_URL", "DRIVER_DB_URL"], []),
        (["DATABASE_DIRECT_URL", "HR_DATABASE_DIRECT_URL"], []),
        (["WAREHOUSE_DATABASE_URL"], ["WAREHOUSE_DATABASE_URL"]),
        (["WAREHOUSE_DATABASE_DIRECT_URL"], ["WAREHOUSE_DATABASE_DIRECT_URL"]),
        (["B_X_DATABASE_URL", "A_X_DATABASE_URL"], ["A_X_DATABASE_URL", "B_X_DATABASE_URL"]),
        # One edit is another app for short labels.
        (["QR_DATABASE_URL", "ERP_DATABASE_URL"], ["ERP_DATABASE_URL", "QR_DATABASE_URL"]),
        (["ACTH2_DATABASE_URL"], ["ACTH2_DATABASE_URL"]),
        # Close to a database's name, and close to nobody's.
        (["WAREHOUSE_DATABASE_URI"], []),
        (["driver_url"], []),
    ],
)
def test_unmatched(names: list[str], unmatched: list[str]) -> None:
    assert check_variables(dict.fromkeys(names, "x"), LABELS) == unmatched


def test_ignored_variables_are_not_reported() -> None:
    env = {"WAREHOUSE_DATABASE_URL": "x", "OTHER_DATABASE_URL": "x"}

    found = check_variables(env, LABELS, ignore=("WAREHOUSE_DATABASE_URL", "NOT_SET"))

    assert found == ["OTHER_DATABASE_URL"]


def test_ignore_is_no_string() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_variables({}, LABELS, ignore="X_DATABASE_URL")

    assert str(raised.value) == "ignore= is a sequence of variable names, not a string."


def test_unknown_labels_are_answered_with_the_nearest() -> None:
    assert str(UnknownLabelError("drivr", LABELS)) == (
        "No installed app has the label 'drivr'. Did you mean 'driver'?"
    )
    assert str(UnknownLabelError("zzz", ["b", "a"])) == (
        "No installed app has the label 'zzz'. The labels are 'a', 'b'."
    )
    assert str(UnknownLabelError("zzz", [])) == (
        "No installed app has the label 'zzz'. The labels are none."
    )
