"""Fills an empty database with a publication of a given size, always the same."""
import time

from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from publication import seed_words
from publication.bulk import without_indexes
from publication.models import Article

SIZES = {
    "full": {"articles": 200_000, "comments": 2_000_000, "users": 50_000, "authors": 2_000, "tags": 300},
    "medium": {"articles": 40_000, "comments": 400_000, "users": 10_000, "authors": 400, "tags": 180},
    "small": {"articles": 2_000, "comments": 20_000, "users": 500, "authors": 50, "tags": 30},
}
EDITORS = 10
PASSWORD = "password"

TABLES = [
    "auth_user",
    "publication_profile",
    "publication_author",
    "publication_tag",
    "publication_article",
    "publication_article_tags",
    "publication_comment",
]

# pick() and share() are the random numbers of the seed: a function of the row and of a salt only.
HELPERS = """
CREATE FUNCTION pg_temp.share(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
  $$ SELECT (hashint8extended(n, salt) & 2147483647) / 2147483648.0::float8 $$;
CREATE FUNCTION pg_temp.pick(n bigint, salt bigint, words text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT words[1 + (hashint8extended(n, salt) & 2147483647) % array_length(words, 1)] $$;
"""

USERS = """
INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
                       is_active, date_joined)
SELECT n, %(password)s, n <= %(editors)s, 'user' || n, pg_temp.pick(n, 1, %(first_names)s),
       pg_temp.pick(n, 2, %(last_names)s), 'user' || n || '@example.org', n <= %(editors)s, true,
       timestamptz '2020-01-01 UTC' + n * interval '30 minutes'
FROM generate_series(1, %(users)s) n
"""

PROFILES = """
INSERT INTO publication_profile (id, user_id, display_name, about, location, newsletter)
SELECT n, n, pg_temp.pick(n, 1, %(first_names)s) || ' ' || pg_temp.pick(n, 2, %(last_names)s),
       pg_temp.pick(n, 3, %(sentences)s), pg_temp.pick(n, 4, %(places)s), n %% 3 = 0
FROM generate_series(1, %(users)s) n
"""

AUTHORS = """
INSERT INTO publication_author (id, user_id, name, slug, bio, location, joined_on)
SELECT n, n + %(editors)s, display_name,
       lower(replace(display_name, ' ', '-')) || '-' || n, pg_temp.pick(n, 5, %(paragraphs)s),
       location, date '2019-01-01' + (n %% 700)::int
FROM generate_series(1, %(authors)s) n JOIN publication_profile ON user_id = n + %(editors)s
ORDER BY n
"""

# Three disjoint ranges of tags: an article takes one of each, so that its tags differ. The first
# three of each range are the navigation's sections, and the most used.
TAGS = """
INSERT INTO publication_tag (id, name, slug, description, is_section)
SELECT n, name, lower(replace(name, ' ', '-')), pg_temp.pick(n, 6, %(sentences)s),
       (n - 1) %% (%(tags)s / 3) < 3
FROM generate_series(1, %(tags)s) n,
     LATERAL (SELECT (%(topics)s::text[])[1 + (n - 1) %% 20]
                     || CASE WHEN n > 20 THEN ' ' || (%(angles)s::text[])[1 + (n - 1) / 20 - 1]
                        ELSE '' END) AS made(name)
"""

ARTICLES = """
INSERT INTO publication_article (id, author_id, title, summary, body, status, is_featured, word_count,
                                 published_at, updated_at)
SELECT n, 1 + floor(power(pg_temp.share(n, 10), 2) * %(authors)s), title,
       pg_temp.pick(n, 11, %(sentences)s), body,
       CASE WHEN n %% 33 = 0 THEN 'D' ELSE 'P' END, n %% 50 = 0,
       cardinality(string_to_array(body, ' ')), at, at
FROM generate_series(1, %(articles)s) n,
     LATERAL (SELECT timestamptz '2021-01-01 UTC' + n * (interval '1461 days' / %(articles)s)) AS time(at),
     LATERAL (SELECT 'The ' || pg_temp.pick(n, 12, %(adjectives)s) || ' '
                     || pg_temp.pick(n, 13, %(nouns)s) || ' of ' || pg_temp.pick(n, 14, %(places)s)
                     || ' ' || pg_temp.pick(n, 15, %(verbs)s) || ' ' || n) AS title(title),
     LATERAL (SELECT pg_temp.pick(n, 16, %(paragraphs)s) || E'\\n\\n'
                     || pg_temp.pick(n, 17, %(paragraphs)s) || E'\\n\\n'
                     || pg_temp.pick(n, 18, %(paragraphs)s)) AS text(body)
"""

ARTICLE_TAGS = """
INSERT INTO publication_article_tags (id, article_id, tag_id)
SELECT (n - 1) * 3 + k + 1, n,
       1 + k * (%(tags)s / 3) + floor(power(pg_temp.share(n, 20 + k), 2) * (%(tags)s / 3))
FROM generate_series(1, %(articles)s) n, generate_series(0, 2) k
"""

# Comments come in the order of time and mostly concern what was new then; every fifth goes to one
# article in 500, so that some have hundreds.
COMMENTS = """
INSERT INTO publication_comment (id, article_id, user_id, body, rating, created_at)
SELECT n, greatest(1, CASE WHEN n %% 5 = 0 THEN article / 500 * 500 ELSE article END),
       1 + floor(power(pg_temp.share(n, 31), 2) * %(users)s),
       pg_temp.pick(n, 32, %(openers)s) || ' ' || pg_temp.pick(n, 33, %(closers)s) || ' '
           || pg_temp.pick(n, 34, %(closers)s),
       1 + floor(sqrt(pg_temp.share(n, 35)) * 5),
       timestamptz '2021-01-01 UTC' + n * (interval '1461 days' / %(comments)s) + interval '5 minutes'
FROM generate_series(1, %(comments)s::bigint) n,
     LATERAL (SELECT (n * %(articles)s / %(comments)s)
                     - floor(power(pg_temp.share(n, 30), 8) * (n * %(articles)s / %(comments)s))::bigint
             ) AS target(article)
"""

STEPS = [
    ("users", USERS),
    ("profiles", PROFILES),
    ("authors", AUTHORS),
    ("tags", TAGS),
    ("articles", ARTICLES),
    ("tags of articles", ARTICLE_TAGS),
    ("comments", COMMENTS),
]


class Command(BaseCommand):
    help = "Fills an empty database with a publication, always the same for one size."

    def add_arguments(self, parser):
        parser.add_argument("--size", choices=SIZES, default="full",
                            help="full (default), medium: a fifth of it, or small: a hundredth")
        parser.add_argument("--if-empty", action="store_true", help="do nothing if there are articles")

    def handle(self, *args, size="full", if_empty=False, **options):
        if Article.objects.exists():
            if if_empty:
                return
            raise CommandError("there are articles already: seed wants an empty database")
        counts = SIZES[size]
        started = time.monotonic()
        parameters = {
            **counts,
            "editors": EDITORS,
            "password": make_password(PASSWORD, salt="made-up"),
            "first_names": seed_words.FIRST_NAMES,
            "last_names": seed_words.LAST_NAMES,
            "places": seed_words.PLACES,
            "adjectives": seed_words.ADJECTIVES,
            "nouns": seed_words.NOUNS,
            "verbs": seed_words.VERBS,
            "topics": seed_words.TOPICS,
            "angles": seed_words.ANGLES,
            "openers": seed_words.OPENERS,
            "closers": seed_words.CLOSERS,
            "sentences": seed_words.sentences(30),
            "paragraphs": seed_words.paragraphs(30),
        }
        self.fill(parameters)
        self.finish()
        self.stdout.write(f"seeded in {time.monotonic() - started:.1f} s: " + ", ".join(
            f"{count:,} {name}" for name, count in counts.items()))

    def fill(self, parameters):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(HELPERS)
            with without_indexes(cursor, TABLES):
                for name, statement in STEPS:
                    self.timed(name, cursor, statement, parameters)
                indexing = time.monotonic()
            self.stdout.write(f"  indexes and foreign keys: {time.monotonic() - indexing:.1f} s")

    def timed(self, name, cursor, statement, parameters):
        started = time.monotonic()
        cursor.execute(statement, parameters)
        self.stdout.write(f"  {cursor.rowcount:,} {name}: {time.monotonic() - started:.1f} s")

    def finish(self):
        """Sequences after the last row, and statistics and visibility map as a settled site has."""
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
            for table in TABLES:
                cursor.execute(f"VACUUM (ANALYZE, FREEZE) {table}")
