"""What earlier nights found, in a database: a SQLite file, or PostgreSQL by URL. Only the audit and `mute` import it.

    place       where it is: a file or a URL, passwords masked
    connecting  an engine for the place, and its errors in one line
    tables      the tables, and how texts and numbers that no database takes are kept
    migrating   brings a database to this version's tables (migrations/)
    rows        records and findings as rows
    settling    the end of an audit: what is new, in one transaction
    store       History, which puts them together
"""

from curvelab.history.place import DEFAULT
from curvelab.history.store import History
from curvelab.model.tracking import Mute, PastAudit, Settled, Tonight

__all__ = ["DEFAULT", "History", "Mute", "PastAudit", "Settled", "Tonight"]
