"""Pages that are lists of what the code holds are what the code holds."""

from perdure.frontend.registry import implemented
from tools import api_coverage, code_map, life_cycles, settings_table


def test_the_page_of_rpcs_is_current():
    assert api_coverage.PAGE.read_text() == api_coverage.page(implemented()), "run `make docs`"


def test_the_page_of_rpcs_knows_every_name_that_is_served():
    known = {f"/{s.full_name}/{m.name}" for s in api_coverage.services() for m in s.methods}
    of_the_api = {name for name in implemented() if name.startswith("/temporal.api.")}
    assert of_the_api <= known
    assert of_the_api


def test_the_table_of_settings_is_current():
    text = settings_table.PAGE.read_text()
    assert text == settings_table.page(text), "run `make docs`"


def test_the_life_cycles_are_current():
    text = life_cycles.PAGE.read_text()
    assert text == life_cycles.page(text), "run `make docs`"


def test_the_code_map_is_current():
    assert code_map.PAGE.read_text() == code_map.page(), "run `make docs`"
