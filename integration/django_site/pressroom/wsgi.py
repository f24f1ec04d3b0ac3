"""WSGI entry point, for gunicorn and for the drivers that call it in their own process."""
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pressroom.settings")
application = get_wsgi_application()
