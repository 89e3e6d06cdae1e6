"""The fixture `api` of the tests in this folder."""

from apiserver.fixture import api

__all__ = ["api"]
