"""Settings of Django's own test suite: two databases on the server that the environment names."""
import os


def _database(name):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": "postgres",
        "PASSWORD": os.environ["PGRECALL_TEST_PASSWORD"],
        "HOST": "127.0.0.1",
        "PORT": os.environ["PGRECALL_TEST_PORT"],
        "TEST": {"NAME": f"test_{name}"},
    }


DATABASES = {"default": _database("django_default"), "other": _database("django_other")}
SECRET_KEY = "for tests only"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
