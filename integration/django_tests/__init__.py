"""Django's own test suite: where its source comes from and the settings it runs under."""
