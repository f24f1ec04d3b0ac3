"""What every page of the site shows beside its own content."""
from .models import Article, Author, Comment, Tag


def sidebar(request):
    """Querysets are lazy: the admin, whose templates show none of this, pays nothing."""
    published = Article.objects.published()
    return {
        "nav_sections": Tag.objects.filter(is_section=True),
        "latest_articles": published.select_related("author").defer("body")[:6],
        "featured_articles": published.filter(is_featured=True)
        .select_related("author")
        .defer("body")[:5],
        "newest_authors": Author.objects.order_by("-joined_on", "-id")[:5],
        "recent_comments": Comment.objects.select_related("user", "article").defer(
            "article__body", "article__summary"
        )[:6],
    }
