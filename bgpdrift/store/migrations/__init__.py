"""Alembic's scripts: how the schema came to be, one file a step."""
