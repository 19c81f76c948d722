"""From the text of a gVCF to columns, and from the columns of many samples to windows."""

from services.jointcall.columnar.reading.columns import BlockColumns, Parsed, RecordColumns
from services.jointcall.columnar.reading.cutting import windows_of
from services.jointcall.columnar.reading.parsing import Target, parse, parse_stream, target_of

__all__ = ["BlockColumns", "Parsed", "RecordColumns", "Target", "parse", "parse_stream", "target_of", "windows_of"]
