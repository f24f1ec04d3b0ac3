"""The password hasher of a site whose accounts are made up."""
from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FewRoundsHasher(PBKDF2PasswordHasher):
    """PBKDF2 with so few rounds that a login costs what its queries cost."""

    algorithm = "pbkdf2_sha256_few"
    iterations = 1000
