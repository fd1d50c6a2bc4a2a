"""ELAN's .eaf (https://archive.mpi.nl/tla/elan): XML, one file per video, times in milliseconds.

The label of an annotation is its text or, if that is empty, the name of its tier. We write one tier per label, because
annotations of one tier must not overlap. Annotations that only refer to others have no times, and are skipped.
"""

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from avadclip.errors import DatasetError
from avadclip.interop.labels.model import Clock, Event, Labels, event, one_line
from avadclip.io import write_bytes

_TYPE = "default-lt"


class Elan:
    """The name of the video is in the file's media descriptor; without one, it is that of the file."""

    suffix, one_video = ".eaf", True

    def read(self, path: Path, clock: Clock) -> Labels:
        try:
            root = ElementTree.parse(path).getroot()  # expat refuses entities that grow without end
        except (OSError, ElementTree.ParseError) as error:
            raise DatasetError(f"{path}: not readable as XML: {error}") from None
        if root.tag != "ANNOTATION_DOCUMENT":
            raise DatasetError(f"{path}: expected ELAN's ANNOTATION_DOCUMENT, found {root.tag}")
        slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
        events = [
            _event(f"{path}, annotation {found.get('ANNOTATION_ID')}", found, str(tier.get("TIER_ID")), slots)
            for tier in root.iter("TIER")
            for found in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        media = root.find("HEADER/MEDIA_DESCRIPTOR")
        url = "" if media is None else media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
        return {PurePosixPath(url).name or path.stem: tuple(events)}

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        ((video, events),) = labels.items()
        root = Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE="1970-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0")
        header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
        SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=_xml(video), MIME_TYPE="video/mp4")
        order = SubElement(root, "TIME_ORDER")
        tiers: dict[str, Element] = {}
        for number, e in enumerate(events, start=1):
            start, end = round(1000 * e.start_seconds), round(1000 * e.end_seconds)
            for edge, milliseconds in ((2 * number - 1, start), (2 * number, max(end, start + 1))):
                SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{edge}", TIME_VALUE=str(milliseconds))
            label = _xml(e.label)
            if label not in tiers:
                tiers[label] = SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=label)
            annotation = SubElement(
                SubElement(tiers[label], "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=f"ts{2 * number - 1}",
                TIME_SLOT_REF2=f"ts{2 * number}",
            )
            SubElement(annotation, "ANNOTATION_VALUE").text = label
        SubElement(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true")
        ElementTree.indent(root)
        write_bytes(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _event(where: str, annotation: Element, tier: str, slots: dict[str | None, str | None]) -> Event:
    times = [slots.get(annotation.get(f"TIME_SLOT_REF{edge}")) for edge in (1, 2)]
    try:
        start, end = (int(time or "") / 1000 for time in times)
    except ValueError:
        raise DatasetError(f"{where}: its time slots have no times; align it in ELAN") from None
    text = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
    return event(where, text or tier, start, end)


def _xml(text: str) -> str:
    """A text without the characters that XML does not allow."""
    return "".join(c for c in one_line(text) if c.isprintable())
