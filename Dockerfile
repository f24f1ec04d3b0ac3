# Two images from Debian 12 packages: `pgrecall` (the default) and `site`, the Django project that shows it.

FROM debian:12 AS build
WORKDIR /src
COPY scripts/bootstrap scripts/lib.sh scripts/
RUN scripts/bootstrap --build-only && rm -rf /var/lib/apt/lists/*
COPY . .
RUN scripts/build release --target pgrecall && strip build/release/pgrecall

FROM debian:12-slim AS site
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends python3-django python3-psycopg2 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --create-home site
USER site
WORKDIR /site
COPY integration/django_site .
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
CMD ["sh", "-c", "python3 manage.py migrate && python3 manage.py seed --small --if-empty && exec python3 manage.py runserver --noreload --insecure 0.0.0.0:8000"]

FROM debian:12-slim AS pgrecall
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends \
      libuv1 libssl3 libpq5 libpg-query1504.0 libhiredis0.14 libspdlog1.10 libfmt9 libre2-9 libcpp-httplib0.11 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --no-create-home pgrecall
COPY --from=build /src/build/release/pgrecall /usr/local/bin/pgrecall
USER pgrecall
EXPOSE 6432 6433
ENTRYPOINT ["pgrecall"]
CMD ["--help"]
