"""Repositories of accounts."""

from apps.auth.repositories.user_repository import UserRepository

__all__ = ["UserRepository"]
