"""Put a pod's real folders where it names its mount paths: what a mount namespace would do, done to strings."""

import re
from collections.abc import Mapping

_INSIDE_PATH = r"[\w.\-]"


class MountPaths:
    """Replaces mount paths in strings.

    Args:
        folders: Mount path (absolute, no slash at the end) to the real path that stands for it.
    """

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = dict(folders)
        # One pass, longest first: a replacement is never looked at again, nested mounts win over their parents.
        longest_first = sorted(self._folders, key=len, reverse=True)
        alternatives = "|".join(re.escape(path) for path in longest_first)
        before = rf"(?:(?<=://)|(?<!{_INSIDE_PATH})(?<!/))"
        self._pattern = re.compile(rf"{before}(?:{alternatives})(?!{_INSIDE_PATH})") if alternatives else None

    def replace(self, text: str) -> str:
        """Replace each mount path that stands at a path boundary.

        >>> MountPaths({"/mnt/model": "/x"}).replace("--dir=/mnt/model /mnt/models /mnt/model/a")
        '--dir=/x /mnt/models /x/a'
        """
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._folders[found.group()], text)
