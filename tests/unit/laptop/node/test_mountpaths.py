import pytest

from kingmaker_laptop.node.mountpaths import MountPaths

PATHS = MountPaths({"/mnt/model": "/real/m", "/mnt": "/real/outer", "/dev/termination-log": "/real/log"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/mnt/model", "/real/m", id="the path itself"),
        pytest.param("--dir=/mnt/model/x", "--dir=/real/m/x", id="after an equals sign"),
        pytest.param("/mnt/models", "/real/outer/models", id="a longer name is another path"),
        pytest.param("/mnt/model.bak", "/real/outer/model.bak", id="an extension is another path"),
        pytest.param("/mnt2", "/mnt2", id="no mount"),
        pytest.param("/srv/mnt/model", "/srv/mnt/model", id="inside another path"),
        pytest.param("//mnt/model", "//mnt/model", id="after a slash"),
        pytest.param("file:///mnt/model/a", "file:///real/m/a", id="in a file URI"),
        pytest.param("s3://mnt/model", "s3://mnt/model", id="a bucket is no path"),
        pytest.param("/mnt/model:/mnt", "/real/m:/real/outer", id="a list of paths"),
        pytest.param("cat '/mnt/model/a' > /dev/termination-log", "cat '/real/m/a' > /real/log", id="in a script"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_replaces_mount_paths_at_path_boundaries(text: str, expected: str) -> None:
    assert PATHS.replace(text) == expected


def test_what_was_put_in_is_not_looked_at_again() -> None:
    assert MountPaths({"/tmp": "/var/tmp/x", "/var": "/no"}).replace("/tmp/a") == "/var/tmp/x/a"


def test_no_mounts_change_nothing() -> None:
    assert MountPaths({}).replace("/mnt") == "/mnt"
