# Two images from the packages of one Debian release: `pgrecall` (the default) and `site`, the Django
# project that shows it. Another release: docker build --build-arg DEBIAN=bookworm .
ARG DEBIAN=trixie

FROM debian:${DEBIAN} AS build
WORKDIR /src
COPY scripts/bootstrap scripts/lib.sh scripts/
RUN scripts/bootstrap --for build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN scripts/build release --target pgrecall && strip build/release/pgrecall
# The program says itself which packages it needs to run here.
RUN docker/runtime-packages.sh build/release/pgrecall >runtime-packages

FROM debian:${DEBIAN}-slim AS site
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends python3-django python3-psycopg2 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --create-home site
USER site
WORKDIR /site
COPY integration/django_site .
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
CMD ["sh", "-c", "python3 manage.py migrate && python3 manage.py seed --size small --if-empty && exec python3 manage.py runserver --noreload --insecure 0.0.0.0:8000"]

FROM debian:${DEBIAN}-slim AS pgrecall
COPY --from=build /src/runtime-packages /tmp/runtime-packages
RUN apt-get update -q \
 && xargs apt-get install -q -y --no-install-recommends </tmp/runtime-packages \
 && rm -rf /var/lib/apt/lists/* /tmp/runtime-packages
RUN useradd --system --no-create-home pgrecall
COPY --from=build /src/build/release/pgrecall /usr/local/bin/pgrecall
COPY docker/pgrecall-entrypoint.sh /usr/local/bin/pgrecall-entrypoint
USER pgrecall
EXPOSE 6432 6433
# Without arguments it serves if PGRECALL_* variables are set, else it shows the help.
ENTRYPOINT ["pgrecall-entrypoint"]
