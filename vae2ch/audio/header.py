"""What the first bytes of a file say, beyond what decoders take from them."""

from dataclasses import dataclass, field

MIN_REST = 4096  # bytes after the end of a sound; fewer are padding or a tag
MIN_TAIL = 256  # bytes after it that are no tag of MP3; fewer are padding
UNCLOSED = "its recorder did not close it: read to the end"
LONGER = "longer than its header says: read to the end"


@dataclass
class Header:
    """Corrections for the decoders, and remarks."""

    patches: dict[int, bytes] = field(default_factory=dict)  # bytes to replace, by position
    end: int | None = None  # position of the first byte that is not read; None: that after the last
    remarks: list[str] = field(default_factory=list)
    is_result: bool = False  # written by this program
    shift: int = 0  # bits by which samples may lie too low in their containers
    has_length: bool = True  # False: decoders estimate it
    samples: int = 0  # per channel that it claims, where a patch removes the claim

    def end_at(self, position: int, size: int) -> None:
        """Leave out another file, which begins at a position of a file of ``size`` bytes."""
        self.end = position
        self.remarks.append(f"another file is joined to it, whose {size - position} bytes are not read")

    def compare(self, end: int, size: int, is_empty: bool) -> bool:
        """Remark on samples that should end at a position of a file of ``size`` bytes; whether it is longer.

        ``is_empty``: no samples are claimed.
        """
        if end > size:
            self.remarks.append(f"cut short: {end - size} bytes are missing")
        elif size - end > (0 if is_empty else MIN_REST):
            self.remarks.append(UNCLOSED if is_empty else LONGER)
            return True
        return False

    def rest(self, end: int, size: int) -> None:
        """Leave out what follows the end of a sound, with a remark if it is more than a tag."""
        if size > end:
            self.end = end
        if size - end > MIN_REST:
            self.remarks.append(f"{size - end} bytes after its end are not read")
