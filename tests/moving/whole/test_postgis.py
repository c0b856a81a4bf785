"""Places and shapes, from one PostGIS database to another and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.project import Project
from tests.support.servers import Server

MODELS = """\
from django.contrib.gis.db import models


class Place(models.Model):
    name = models.CharField(max_length=20)
    point = models.PointField(null=True)
    area = models.MultiPolygonField(srid=3857, null=True)
    track = models.LineStringField(dim=3, null=True)
    anything = models.GeometryField(srid=0, null=True, spatial_index=False)
    on_earth = models.PointField(geography=True, null=True)
    picture = models.RasterField(null=True)
"""
FILL = """
INSERT INTO driver_place (name, point, area, track, anything, on_earth, picture)
SELECT 'place ' || n, ST_SetSRID(ST_MakePoint(n / 7.0, -n / 3.0), 4326),
       ST_Multi(ST_Buffer(ST_SetSRID(ST_MakePoint(n, n), 3857), n)),
       ST_SetSRID(ST_MakeLine(ST_MakePoint(n, 0, 1), ST_MakePoint(0, n, 'infinity')), 4326),
       ST_MakePoint(n, 2), ST_MakePoint(n % 180, n % 90)::geography,
       ST_AddBand(ST_MakeEmptyRaster(n % 5 + 1, 2, 0, 0, 1, 1, 0, 0, 4326), '8BUI'::text, n, 0)
FROM generate_series(1, 200) n;
INSERT INTO driver_place (name) VALUES ('nowhere');
INSERT INTO driver_place (name, point, anything) VALUES
    ('empty', 'SRID=4326;POINT EMPTY', 'GEOMETRYCOLLECTION (POINT (1 2), LINESTRING EMPTY)'),
    ('NaN', ST_SetSRID(ST_MakePoint('NaN', '-infinity'), 4326), 'CIRCULARSTRING (0 0, 1 1, 2 0)');
"""
# Places are written once more where they are now.
WRITE = """
from django.contrib.gis.geos import Point
from driver.models import Place
place = Place.objects.create(name="{name}", point=Point(1, 2), on_earth=Point(3, 4))
Place.objects.filter(pk__lt=5).update(point=Point(place.pk, place.pk))
near = Place.objects.filter(point__dwithin=(Point(place.pk, place.pk), 0.1)).count()
print(Place.objects.db, near)
"""
ROWS = "SELECT t::text FROM driver_place t ORDER BY id"
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = 'driver_place' ORDER BY 1"


@pytest.mark.parametrize("verify", ["checksum", "stream"])
def test_there_and_back(
    project: Project, postgis: Server, database_name: Callable[[str], str], verify: str
) -> None:
    names = {label: database_name(label) for label in ("default", "driver")}
    urls = {
        label: postgis.url(name).replace("postgresql:", "postgis:") for label, name in names.items()
    }
    project.installed_apps.insert(0, "django.contrib.gis")
    project.app("driver", models=MODELS)
    # Rasters are an extension of their own, and one that a project has to ask for.
    operation = "CreateExtension('postgis_raster')"
    project.makemigrations("driver")
    path = project.root / "driver/migrations/0001_initial.py"
    path.write_text(
        "from django.contrib.postgres.operations import CreateExtension\n"
        + path.read_text().replace("operations = [", f"operations = [\n        {operation},")
    )
    project.env["DATABASE_URL"] = urls["default"]
    project.manage("db_init", "--all-apps")
    postgis.execute(FILL, database=names["default"])
    project.env |= {
        "DRIVER_DATABASE_URL": urls["driver"],
        "DRIVER_DATABASE_MOVE_FROM": "default",
    }
    project.manage("db_init", "--all-apps")
    before = {what: postgis.fetch(what, database=names["default"]) for what in (ROWS, INDEXES)}

    project.manage("db_move", "driver", "--verify", verify)

    for what, found in before.items():
        assert postgis.fetch(what, database=names["driver"]) == found
    assert project.python(WRITE.format(name="there")).stdout == "driver 4\n"

    project.manage("db_move", "driver", "--rollback")

    assert postgis.fetch(ROWS, database=names["default"]) == postgis.fetch(
        ROWS, database=names["driver"]
    )
    assert project.python(WRITE.format(name="back")).stdout == "default 4\n"
