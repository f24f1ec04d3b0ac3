"""A publication: authors write articles under tags, readers comment on them.

Every ordering ends in the primary key, so that two executions of one query give the same rows in
the same order.
"""
from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Author(models.Model):
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="author"
    )
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True)
    bio = models.TextField(blank=True)
    location = models.CharField(max_length=80, blank=True)
    joined_on = models.DateField()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("author", args=[self.slug])


class Tag(models.Model):
    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    description = models.CharField(max_length=200, blank=True)
    is_section = models.BooleanField("shown in the navigation", default=False)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("tag", args=[self.slug])


class ArticleQuerySet(models.QuerySet):
    def published(self):
        return self.filter(status=Article.Status.PUBLISHED)

    def for_cards(self):
        """What a list shows of each article: its author and its tags, not its text."""
        return self.select_related("author").prefetch_related("tags").defer("body")


class Article(models.Model):
    class Status(models.TextChoices):
        DRAFT = "D", "draft"
        PUBLISHED = "P", "published"

    author = models.ForeignKey(
        Author, on_delete=models.CASCADE, related_name="articles", db_index=False
    )
    title = models.CharField(max_length=200)
    summary = models.TextField()
    body = models.TextField()
    status = models.CharField(max_length=1, choices=Status.choices, default=Status.DRAFT)
    is_featured = models.BooleanField("editors' pick", default=False)
    word_count = models.PositiveIntegerField(default=0)
    published_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    tags = models.ManyToManyField(Tag, related_name="articles", blank=True)

    objects = ArticleQuerySet.as_manager()

    class Meta:
        ordering = ["-published_at", "-id"]
        indexes = [
            models.Index(fields=["status", "-published_at", "-id"], name="article_newest"),
            models.Index(fields=["author", "-published_at", "-id"], name="article_by_author"),
            models.Index(
                fields=["-published_at", "-id"],
                name="article_featured",
                condition=models.Q(is_featured=True),
            ),
        ]

    def __str__(self):
        return self.title

    def save(self, *args, **kwargs):
        self.word_count = len(self.body.split())
        super().save(*args, **kwargs)

    def get_absolute_url(self):
        return reverse("article", args=[self.pk])


class Comment(models.Model):
    article = models.ForeignKey(
        Article, on_delete=models.CASCADE, related_name="comments", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="comments", db_index=False
    )
    body = models.TextField(max_length=2000)
    rating = models.PositiveSmallIntegerField(
        choices=[(n, str(n)) for n in range(1, 6)], default=3
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["article", "-created_at", "-id"], name="comment_by_article"),
            models.Index(fields=["user", "-created_at", "-id"], name="comment_by_user"),
            models.Index(fields=["-created_at", "-id"], name="comment_newest"),
        ]

    def __str__(self):
        return f"comment {self.pk} on article {self.article_id}"


class Profile(models.Model):
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile"
    )
    display_name = models.CharField(max_length=80)
    about = models.TextField(blank=True)
    location = models.CharField(max_length=80, blank=True)
    newsletter = models.BooleanField(default=False)

    def __str__(self):
        return self.display_name
