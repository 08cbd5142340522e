"""Where the answers are kept: SQLite beside the study, or PostgreSQL by URL."""

from pellucid.study.store.engine import Store, database_url, open_store
from pellucid.study.store.models import Answer, Base, Participant, State

__all__ = ["Answer", "Base", "Participant", "State", "Store", "database_url", "open_store"]
