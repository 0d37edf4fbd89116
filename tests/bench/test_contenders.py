"""The servers that take part in a measurement."""

import pytest

from bench.contenders import Beside, contenders


def test_another_perdure_has_the_name_it_is_given(tmp_path):
    program = tmp_path / "perdure"
    program.touch()
    assert Beside.parse(f"before={program}") == ("before", program)
    assert Beside.parse(str(program)) == ("beside", program)


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not perdure's executable"):
        Beside.parse(f"before={tmp_path / 'nothing'}")


def test_what_is_beside_comes_before_this_perdure(tmp_path):
    found = contenders(["memory", "file"], [Beside("before", tmp_path)], has_real=False)
    assert [each.name for each in found] == [
        "before-memory",
        "perdure-memory",
        "before-file",
        "perdure-file",
    ]
