"""A real Django site behind pgrecall: each page is byte for byte what it is without it, before and
after every way to write."""
import datetime
import os
import subprocess
import sys

import pytest

from demo.browser import Browser, PostForms, filled
from django_site.two_ways import SITE, TwoWays
from support.postgres import PASSWORD, SUPERUSER

PAGES = [
    "/",
    "/articles/",
    "/articles/?page=7",
    "/articles/2000/",
    "/articles/1999/",
    "/articles/1500/?page=2",
    "/authors/",
    "/authors/ruben-danso-1/",
    "/tags/",
    "/tags/politics/?page=2",
    "/search/?q=library",
    "/search/?q=library&page=2",
    "/search/?q=nothing+like+it",
    "/dashboard/2024/11/",
    "/dashboard/2024/12/",
    "/edition/2024/12/30/",
    "/articles/99999999/",
]
SIGNED_IN_PAGES = [
    "/profile/",
    "/articles/2000/",
    "/articles/2000/edit/",
    "/admin/",
    "/admin/publication/article/",
    "/admin/publication/article/?q=library&status__exact=P",
    "/admin/publication/article/2000/change/",
    "/admin/publication/comment/",
    "/admin/publication/author/",
    "/admin/publication/tag/?is_section__exact=1",
    "/admin/auth/user/",
]
# What the tests of writes look at: each table behind some page, at a cost that bears repeating.
TOUCHED = ["/", "/articles/", "/articles/2000/", "/articles/1999/", "/authors/ruben-danso-1/", "/tags/",
           "/search/?q=library", "/dashboard/2024/12/", "/edition/2024/12/30/"]
SIGNED_IN_TOUCHED = ["/profile/", "/articles/2000/edit/", "/admin/publication/article/",
                     "/admin/publication/comment/"]


def environment(database, port):
    return {**os.environ, "SITE_DB_HOST": "127.0.0.1", "SITE_DB_PORT": str(port), "SITE_DB_NAME": database,
            "SITE_DB_USER": SUPERUSER, "SITE_DB_PASSWORD": PASSWORD, "PYTHONDONTWRITEBYTECODE": "1"}


def manage(database, port, *arguments):
    """Output of a management command that must succeed."""
    done = subprocess.run([sys.executable, SITE / "manage.py", *arguments], text=True,
                          env=environment(database, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def seeded(postgres, proxy, database):
    """Migrated and filled through pgrecall, as a deployment would."""
    manage(database, proxy.port, "migrate", "--verbosity", "0")
    manage(database, proxy.port, "seed", "--size", "small")
    return database


def open_site(seeded, postgres, proxy, **options):
    return TwoWays(seeded, (postgres.port, proxy.port), SUPERUSER, PASSWORD, **options)


@pytest.fixture
def site(seeded, postgres, proxy):
    two_ways = open_site(seeded, postgres, proxy, CONN_MAX_AGE=None)
    yield two_ways
    two_ways.close()
    proxy.assert_alive()


@pytest.fixture
def editor(site):
    """user1, signed in through the form; an editor, so that every page is open to them."""
    return sign_in(site, "user1")


@pytest.fixture
def author(site):
    return sign_in(site, "user11")


def sign_in(site, user):
    browser = Browser(site.application)
    form = PostForms(browser.get("/accounts/login/").text).forms[0]
    fields = filled(form, username=user, password="password", next="/")
    response = browser.post("/accounts/login/", fields)
    assert (response.status, response.header("Location")) == (302, "/")
    return browser


def send(browser, url, action="", **values):
    """Opens a page, fills in its form and sends it; returns the page it leads to."""
    form = next(form for form in PostForms(browser.get(url).text).forms if form[0] == action)
    response = browser.post(action or url, filled(form, **values))
    assert response.status == 302, response.text[:2000]
    return browser.get(response.header("Location"))


def assert_same(site, browser, urls):
    for url in urls:
        expected, answered = site.both(browser, url)
        assert answered == expected, url


def hits_of(proxy, act):
    if proxy.identity:
        act()
        return None
    before = proxy.stats().hits
    act()
    return proxy.stats().hits - before


def assert_same_with_hits(site, proxy, browser, urls):
    """The pages are right, right again, and the second time hits took part."""
    assert_same(site, browser, urls)
    hits = hits_of(proxy, lambda: assert_same(site, browser, urls))
    assert hits is None or hits > 0, "no hit, so that nothing was shown"


def warm(browser, urls):
    """Opens pages through pgrecall until what they read can be hits."""
    for _ in range(2):
        for url in urls:
            browser.get(url)


def test_public_pages_are_the_same_cold_and_warm(site, proxy):
    assert_same_with_hits(site, proxy, Browser(site.application), PAGES)


def test_signed_in_pages_and_the_admin_are_the_same(site, proxy, editor):
    assert_same_with_hits(site, proxy, editor, SIGNED_IN_PAGES)


def test_a_warm_public_page_asks_nothing_that_is_not_a_hit(site, proxy):
    browser = Browser(site.application)
    for _ in range(2):
        browser.get("/articles/2000/")
    if proxy.identity:
        return
    before = proxy.stats()
    browser.get("/articles/2000/")
    after = proxy.stats()
    assert after.hits - before.hits >= 10
    assert (after.misses, after.bypassed) == (before.misses, before.bypassed)


@pytest.mark.parametrize("options", [{"ATOMIC_REQUESTS": True}, {"CONN_MAX_AGE": 0},
                                     {"ATOMIC_REQUESTS": True, "CONN_MAX_AGE": 0}], ids=str)
def test_pages_are_the_same_under_other_database_settings(seeded, postgres, proxy, options):
    site = open_site(seeded, postgres, proxy, **options)
    try:
        assert_same_with_hits(site, proxy, Browser(site.application), PAGES)
        assert_same_with_hits(site, proxy, sign_in(site, "user1"), SIGNED_IN_PAGES)
    finally:
        site.close()


# -- forms ------------------------------------------------------------------------------------
def comment(editor, author):
    page = send(editor, "/articles/2000/", "/articles/2000/comment/", body="Seen once, seen twice.",
                rating="1")
    assert "Seen once, seen twice." in page.text


def edit_article(editor, author):
    page = send(editor, "/articles/1999/edit/", title="The library was moved", tags=["1", "12", "23"])
    assert "<h2>The library was moved</h2>" in page.text


def new_article(editor, author):
    page = send(author, "/articles/new/", title="A library opens", summary="At last.", body="Long text.",
                status="P", tags=["1"])
    assert "A library opens" in page.text


def change_profile(editor, author):
    page = send(editor, "/profile/", display_name="Editor in chief", about="Reads all.")
    assert "Editor in chief" in page.text


def change_in_admin(editor, author):
    send(editor, "/admin/publication/article/2000/change/", title="Changed by the admin's library",
         tags=["2", "3"])
    assert "Changed by the admin" in editor.get("/articles/2000/").text


def delete_in_admin(editor, author):
    send(editor, "/admin/publication/article/1990/delete/")
    assert editor.get("/articles/1990/").status == 404


def rename_tag_in_admin(editor, author):
    send(editor, "/admin/publication/tag/1/change/", name="Affairs")
    assert ">Affairs</a>" in editor.get("/").text


def sign_out_and_in(editor, author):
    editor.get("/accounts/logout/")
    assert editor.get("/profile/").status == 302
    form = PostForms(editor.get("/accounts/login/").text).forms[0]
    editor.post("/accounts/login/", filled(form, username="user1", password="password"))
    assert editor.get("/profile/").status == 200


@pytest.mark.parametrize("write", [comment, edit_article, new_article, change_profile, change_in_admin,
                                   delete_in_admin, rename_tag_in_admin, sign_out_and_in])
def test_pages_are_the_same_after_a_form_was_sent(site, proxy, editor, author, write):
    anonymous = Browser(site.application)
    warm(anonymous, TOUCHED)
    warm(editor, SIGNED_IN_TOUCHED)
    assert hits_of(proxy, lambda: anonymous.get("/articles/2000/")) != 0
    write(editor, author)
    assert_same_with_hits(site, proxy, anonymous, TOUCHED)
    assert_same_with_hits(site, proxy, editor, SIGNED_IN_TOUCHED)


# -- the ORM ----------------------------------------------------------------------------------
def models():
    from publication import models as publication_models

    return publication_models


def update_queryset():
    models().Article.objects.filter(pk__gte=1980).update(word_count=7)


def bulk_create():
    Comment = models().Comment
    at = datetime.datetime(2024, 12, 31, 23, 0, tzinfo=datetime.timezone.utc)
    Comment.objects.bulk_create(
        [Comment(article_id=2000, user_id=n, body=f"bulk {n}", created_at=at) for n in range(20, 60)])


def bulk_update():
    articles = list(models().Article.objects.order_by("-id")[:10])
    for article in articles:
        article.title = f"Library, bulk {article.pk}"
    models().Article.objects.bulk_update(articles, ["title"])


def f_expression():
    from django.db.models import F

    models().Article.objects.filter(pk=2000).update(word_count=F("word_count") + 1)


def m2m_add_and_clear():
    article = models().Article.objects.get(pk=1999)
    article.tags.add(5, 15)
    models().Article.objects.get(pk=2000).tags.clear()


def cascade():
    models().Article.objects.filter(pk=1995).delete()


def update_of_a_joined_row():
    from django.contrib.auth.models import User

    User.objects.filter(pk__lte=500).update(last_name="Renamed")
    models().Author.objects.filter(pk=1).update(location="Elsewhere")


def rolled_back():
    from django.db import transaction

    class Stop(Exception):
        pass

    with pytest.raises(Stop), transaction.atomic():
        models().Article.objects.filter(pk=2000).update(title="Never to be seen")
        assert models().Article.objects.get(pk=2000).title == "Never to be seen"
        raise Stop
    assert models().Article.objects.get(pk=2000).title != "Never to be seen"


def savepoint_rolled_back():
    from django.db import IntegrityError, transaction

    with transaction.atomic():
        models().Article.objects.filter(pk=1999).update(title="The outer library")
        with pytest.raises(IntegrityError), transaction.atomic():
            models().Tag.objects.create(name="Science", slug="science-again")
        assert models().Article.objects.get(pk=1999).title == "The outer library"


def raw_sql():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("WITH gone AS (DELETE FROM publication_comment WHERE article_id = %s RETURNING 1) "
                       "SELECT count(*) FROM gone", [2000])


@pytest.mark.parametrize("write", [update_queryset, bulk_create, bulk_update, f_expression, m2m_add_and_clear,
                                   cascade, update_of_a_joined_row, rolled_back, savepoint_rolled_back,
                                   raw_sql])
def test_pages_are_the_same_after_the_orm_wrote(site, proxy, write):
    browser = Browser(site.application)
    warm(browser, TOUCHED)
    assert hits_of(proxy, lambda: browser.get("/articles/2000/")) != 0
    write()
    assert_same_with_hits(site, proxy, browser, TOUCHED)


def test_get_or_create_finds_what_somebody_else_made(site, proxy):
    """The empty answer is cached, then the row is made past pgrecall: the failing INSERT must lead
    to a SELECT that finds it."""
    Tag = models().Tag
    for _ in range(2):
        assert not Tag.objects.filter(name="Late").exists()
        with pytest.raises(Tag.DoesNotExist):
            Tag.objects.get(name="Late")
    with site.direct():
        made = Tag.objects.create(name="Late", slug="late")
    tag, created = Tag.objects.get_or_create(name="Late", defaults={"slug": "late"})
    assert (tag.pk, created) == (made.pk, False)


# -- management commands ----------------------------------------------------------------------
def test_trap36_the_sites_own_tests_pass_through_pgrecall_twice(seeded, proxy):
    """Creates and drops a test database each time."""
    for _ in range(2):
        output = manage(seeded, proxy.port, "test", "publication")
        assert "\nOK" in output and "Destroying test database" in output


def test_dumpdata_is_the_same(seeded, postgres, proxy):
    direct, proxied = (manage(seeded, port, "dumpdata", "publication.tag", "publication.author", "auth.group")
                       for port in (postgres.port, proxy.port))
    assert direct == proxied
    assert "ruben-danso-1" in direct
