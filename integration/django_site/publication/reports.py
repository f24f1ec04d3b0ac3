"""The pages that aggregate: a dashboard per month and the edition of one day."""
import datetime

from django.db import transaction
from django.db.models import Avg, Count, Max, Sum
from django.db.models.functions import TruncDate
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils import timezone

from .models import Article, Author, Comment, Tag


def instant(year, month, day=1):
    """Midnight UTC of a date taken from a URL; a date that does not exist is not found."""
    try:
        return datetime.datetime(year, month, day, tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Http404("no such date")


def dashboard(request):
    newest = Article.objects.published().aggregate(newest=Max("published_at"))["newest"]
    newest = newest or timezone.now()
    return redirect("dashboard-month", newest.year, newest.month)


def dashboard_month(request, year, month):
    start = instant(year, month)
    end = instant(year + month // 12, month % 12 + 1)
    articles = Article.objects.published().filter(published_at__gte=start, published_at__lt=end)
    comments = Comment.objects.filter(created_at__gte=start, created_at__lt=end)
    context = {
        "start": start,
        "previous": start - datetime.timedelta(days=1),
        "next": end,
        "article_figures": articles.aggregate(
            count=Count("id"), words=Sum("word_count"), mean_words=Avg("word_count")
        ),
        "comment_figures": comments.aggregate(
            count=Count("id"), rating=Avg("rating"), readers=Count("user", distinct=True)
        ),
        "articles_per_day": articles.annotate(day=TruncDate("published_at"))
        .values("day")
        .annotate(count=Count("id"), words=Sum("word_count"))
        .order_by("day"),
        "comments_per_day": comments.annotate(day=TruncDate("created_at"))
        .values("day")
        .annotate(count=Count("id"), rating=Avg("rating"))
        .order_by("day"),
        "busiest_authors": articles.values("author__name", "author__slug")
        .annotate(count=Count("id"), words=Sum("word_count"))
        .order_by("-count", "author__slug")[:10],
        "most_discussed": articles.annotate(count=Count("comments"))
        .select_related("author")
        .defer("body")
        .order_by("-count", "id")[:10],
        "total_articles": Article.objects.count(),
        "total_comments": Comment.objects.count(),
    }
    return render(request, "publication/dashboard.html", context)


@transaction.atomic
def edition(request, year, month, day):
    """Everything published on one day, read inside one transaction as ATOMIC_REQUESTS would."""
    start = instant(year, month, day)
    end = start + datetime.timedelta(days=1)
    published = Article.objects.published().filter(published_at__gte=start, published_at__lt=end)
    context = {
        "start": start,
        "end": end,
        "previous": start - datetime.timedelta(days=1),
        "articles": published.for_cards()
        .annotate(comment_count=Count("comments"))
        .order_by("-published_at", "-id")[:60],
        "count": published.count(),
        "tags": Tag.objects.filter(articles__in=published.values("pk"))
        .annotate(count=Count("articles"))
        .order_by("-count", "id")[:20],
        "authors": Author.objects.filter(articles__in=published.values("pk")).distinct()[:40],
    }
    return render(request, "publication/edition.html", context)
