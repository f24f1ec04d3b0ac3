"""The site's own tests: what each page shows, who may do what, and what the forms write."""
from django.contrib.auth.models import User
from django.test import TestCase
from django.urls import reverse

from .models import Article, Author, Comment, Profile, Tag


class PublicationTest(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.writer = User.objects.create_user("writer", password="w")
        cls.reader = User.objects.create_user("reader", password="r")
        cls.editor = User.objects.create_superuser("editor", password="e")
        cls.author = Author.objects.create(
            user=cls.writer, name="Ada Adler", slug="ada-adler", joined_on="2020-01-01"
        )
        cls.tag = Tag.objects.create(name="Science", slug="science", is_section=True)
        cls.article = cls.make_article("The small river", tags=[cls.tag])

    @classmethod
    def make_article(cls, title, status=Article.Status.PUBLISHED, tags=()):
        article = Article.objects.create(
            author=cls.author, title=title, summary="In short.", body="One two three.", status=status
        )
        article.tags.set(tags)
        return article

    def fields(self, **changes):
        return {
            "title": "Another river",
            "summary": "In short.",
            "body": "Four words are here.",
            "tags": [self.tag.pk],
            "status": "P",
            **changes,
        }


class PageTest(PublicationTest):
    def test_every_public_page_shows_the_article(self):
        day = self.article.published_at
        for url in (
            reverse("home"),
            reverse("article-list"),
            reverse("author", args=["ada-adler"]),
            reverse("tag", args=["science"]),
            reverse("search") + "?q=SMALL",
            reverse("dashboard-month", args=[day.year, day.month]),
            reverse("edition", args=[day.year, day.month, day.day]),
            self.article.get_absolute_url(),
        ):
            with self.subTest(url=url):
                self.assertContains(self.client.get(url), "The small river")

    def test_lists_of_authors_and_tags_count_articles(self):
        self.assertContains(self.client.get(reverse("author-list")), "<td>1</td>", html=True)
        self.assertContains(self.client.get(reverse("tag-list")), "<td>1</td>", html=True)

    def test_search_without_a_hit_says_none(self):
        self.assertContains(self.client.get(reverse("search") + "?q=volcano"), "(0 in all)")

    def test_dashboard_leads_to_the_newest_month(self):
        day = self.article.published_at
        expected = reverse("dashboard-month", args=[day.year, day.month])
        self.assertRedirects(self.client.get(reverse("dashboard")), expected)

    def test_a_date_that_does_not_exist_is_not_found(self):
        self.assertEqual(self.client.get("/edition/2024/2/30/").status_code, 404)
        self.assertEqual(self.client.get("/dashboard/2024/13/").status_code, 404)

    def test_drafts_are_for_those_who_may_edit_them(self):
        draft = self.make_article("Not yet", status=Article.Status.DRAFT)
        self.assertEqual(self.client.get(draft.get_absolute_url()).status_code, 404)
        self.assertNotContains(self.client.get(reverse("article-list")), "Not yet")
        self.client.force_login(self.writer)
        self.assertContains(self.client.get(draft.get_absolute_url()), "Not yet")

    def test_a_page_number_beyond_the_last_gives_the_last(self):
        self.assertContains(self.client.get(reverse("article-list") + "?page=99"), "page 1 of 1")


class FormTest(PublicationTest):
    def test_a_comment_appears_under_its_article(self):
        self.client.force_login(self.reader)
        Profile.objects.create(user=self.reader, display_name="R. Reader")
        url = reverse("comment-add", args=[self.article.pk])
        response = self.client.post(url, {"body": "Well said", "rating": 5}, follow=True)
        self.assertContains(response, "Well said")
        self.assertContains(response, "R. Reader")
        self.assertContains(response, "rated 5.00")

    def test_an_empty_comment_is_refused(self):
        self.client.force_login(self.reader)
        url = reverse("comment-add", args=[self.article.pk])
        response = self.client.post(url, {"body": "", "rating": 5}, follow=True)
        self.assertContains(response, "A comment needs a text")
        self.assertEqual(Comment.objects.count(), 0)

    def test_nobody_writes_without_signing_in(self):
        for url in (
            reverse("comment-add", args=[self.article.pk]),
            reverse("article-edit", args=[self.article.pk]),
            reverse("article-new"),
            reverse("profile"),
        ):
            with self.subTest(url=url):
                response = self.client.post(url, self.fields())
                self.assertRedirects(response, f"{reverse('login')}?next={url}")

    def test_an_author_publishes_and_edits(self):
        self.client.force_login(self.writer)
        response = self.client.post(reverse("article-new"), self.fields(), follow=True)
        self.assertContains(response, "Another river")
        article = Article.objects.get(title="Another river")
        self.assertEqual(article.word_count, 4)
        url = reverse("article-edit", args=[article.pk])
        response = self.client.post(url, self.fields(title="A third river", tags=[]), follow=True)
        self.assertContains(response, "A third river")
        self.assertEqual(article.tags.count(), 0)

    def test_readers_do_not_edit_and_editors_do(self):
        url = reverse("article-edit", args=[self.article.pk])
        self.client.force_login(self.reader)
        self.assertEqual(self.client.post(url, self.fields()).status_code, 403)
        self.client.force_login(self.editor)
        self.assertEqual(self.client.post(url, self.fields()).status_code, 302)

    def test_the_profile_is_made_on_first_sight_and_kept(self):
        self.client.force_login(self.reader)
        self.client.get(reverse("profile"))
        fields = {"display_name": "Somebody", "about": "Old.", "location": "Graz"}
        self.client.post(reverse("profile"), fields)
        self.assertContains(self.client.get(reverse("profile")), "Somebody")

    def test_signing_in_and_out(self):
        response = self.client.post(
            reverse("login"), {"username": "reader", "password": "r"}, follow=True
        )
        self.assertContains(response, "Signed in as")
        self.assertContains(self.client.get(reverse("logout"), follow=True), "Sign in")


class AdminTest(PublicationTest):
    def test_every_list_and_form_of_the_admin_opens(self):
        Comment.objects.create(article=self.article, user=self.reader, body="Hm")
        self.client.force_login(self.editor)
        for model in (Author, Tag, Article, Comment):
            name = model._meta.model_name
            listed = self.client.get(reverse(f"admin:publication_{name}_changelist"))
            self.assertEqual(listed.status_code, 200)
            url = reverse(f"admin:publication_{name}_change", args=[model.objects.first().pk])
            self.assertEqual(self.client.get(url).status_code, 200)
