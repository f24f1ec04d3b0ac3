"""Settings of the publication site.

Everything that differs between a direct connection and one through pgrecall is SITE_DB_HOST and
SITE_DB_PORT; nothing else in the project knows about the proxy.
"""
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent


def env_flag(name, default=False):
    return os.environ.get(name, "1" if default else "0") not in ("", "0", "no", "false")


SECRET_KEY = os.environ.get("SITE_SECRET_KEY", "for-throw-away-data-only")
DEBUG = env_flag("SITE_DEBUG")
ALLOWED_HOSTS = os.environ.get("SITE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "publication",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "pressroom.urls"
WSGI_APPLICATION = "pressroom.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "publication.context.sidebar",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("SITE_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("SITE_DB_PORT", "5432"),
        "NAME": os.environ.get("SITE_DB_NAME", "publication"),
        "USER": os.environ.get("SITE_DB_USER", "publication"),
        "PASSWORD": os.environ.get("SITE_DB_PASSWORD", ""),
        "CONN_MAX_AGE": float(os.environ.get("SITE_CONN_MAX_AGE", "60")),
        "ATOMIC_REQUESTS": env_flag("SITE_ATOMIC_REQUESTS"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Logging in is one of the measured pages; with Django's usual 260,000 rounds it would measure
# nothing but the hash. The accounts are made up, so few rounds do.
PASSWORD_HASHERS = [
    "pressroom.hashers.FewRoundsHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

SESSION_ENGINE = "django.contrib.sessions.backends.db"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_L10N = True
USE_TZ = True
STATIC_URL = "/static/"
