"""What may be on a disk after the power fails: a model of a file system, fed with a trace of system calls.

Content written to a file is safe once that file was synced; a name made, moved or removed is safe once its folder was. Of
all that is not safe any part may have reached the disk, in any order: `states` gives each such disk once. A rename takes
effect as a whole or not at all.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_PATH = re.compile(r'"([^"]*)"')
_OPEN_FD = re.compile(r"^(\d+)<([^>]*)>")
MOST_PENDING = 6


@dataclass
class Trace:
    """Calls that concern one folder, in order: ``(call, path, other path or size)``."""

    folder: Path
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, folder: Path, text: str) -> "Trace":
        trace = cls(folder)
        for line in text.splitlines():
            match = _CALL.match(line)
            if not match or match[3].startswith("-"):
                continue
            call, arguments = match[1], match[2]
            paths = [path for path in _PATH.findall(arguments) if path.startswith(str(folder))]
            opened = _OPEN_FD.match(arguments)
            if call == "openat" and paths and "O_CREAT" in arguments and "O_EXCL" in arguments:
                trace.calls.append(("create", paths[0], ""))
            elif call in ("write", "fsync") and opened and opened[2].startswith(str(folder)):
                trace.calls.append((call, opened[2], match[3]))
            elif call in ("link", "linkat", "rename", "renameat", "renameat2") and len(paths) == 2:
                trace.calls.append(("link" if call.startswith("link") else "rename", paths[0], paths[1]))
            elif call in ("unlink", "unlinkat") and paths:
                trace.calls.append(("unlink", paths[0], ""))
        return trace

    def states(self, before: dict[str, bytes], written: dict[str, bytes]) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Each disk that a power loss after ``n`` calls may leave, as ``(n, content by path)``.

        Parameters
        ----------
        before : dict
            Content by path when the trace began, all of it safe.
        written : dict
            What was written to each file that the trace creates, by the path it was created under.
        """
        for n in range(len(self.calls) + 1):
            seen = set()
            for disk in self._disks(n, before, written):
                key = tuple(sorted((path, hash(content)) for path, content in disk.items()))
                if key not in seen:
                    seen.add(key)
                    yield n, disk

    def _disks(self, n: int, before: dict[str, bytes], written: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
        names = {path: path for path in before}  # path → inode, by the first name it had
        synced = set(before)
        operations: list[tuple[int, tuple[str, str, str, str]]] = []  # when, (call, path, other, inode)
        folder_synced: dict[str, int] = {}
        for when, (call, path, other) in enumerate(self.calls[:n]):
            if call == "fsync":
                if path in names:
                    synced.add(names[path])
                else:
                    folder_synced[path] = when
                continue
            if call == "write":
                continue
            inode = names[path] if call != "create" else f"{path}#{when}"
            operations.append((when, (call, path, other, inode)))
            if call in ("create", "link"):
                names[other or path] = inode
            elif call == "rename":
                names[other] = names.pop(path)
            else:
                del names[path]

        def safe(when: int, operation: tuple[str, str, str, str]) -> bool:
            paths = [path for path in operation[1:3] if path]
            last = paths[-1]  # a rename is safe with the folder it leads into
            return folder_synced.get(str(Path(last).parent), -1) > when

        pending = [item for item in operations if not safe(*item)]
        assert len(pending) <= MOST_PENDING, pending
        for kept in itertools.product((False, True), repeat=len(pending)):
            lost = {item[0] for item, is_kept in zip(pending, kept, strict=True) if not is_kept}
            disk = {path: path for path in before}
            for when, (call, path, other, inode) in operations:
                if when in lost:
                    continue
                if call == "unlink":
                    if disk.get(path) == inode:
                        del disk[path]
                    continue
                if call == "rename" and disk.get(path) == inode:
                    del disk[path]
                disk[other or path] = inode
            for cut in (False, True):  # unsynced content: nothing of it, or half
                yield {path: self._content(inode, synced, before, written, cut) for path, inode in disk.items()}

    def _content(
        self, inode: str, synced: set[str], before: dict[str, bytes], written: dict[str, bytes], cut: bool
    ) -> bytes:
        if inode in before:
            return before[inode]
        content = written[inode.partition("#")[0]]
        return content if inode in synced else content[: len(content) // 2 if cut else 0]
