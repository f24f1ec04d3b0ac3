"""The pages that readers and authors see, and the forms that write."""
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Avg, Count, Max, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from .forms import ArticleForm, CommentForm, ProfileForm
from .models import Article, Author, Comment, Profile, Tag

ARTICLES_PER_PAGE = 20
COMMENTS_PER_PAGE = 25


def page_of(request, queryset, per_page=ARTICLES_PER_PAGE):
    """One page of a queryset; a page number that makes no sense gives the nearest one."""
    return Paginator(queryset, per_page).get_page(request.GET.get("page"))


def home(request):
    lead = Article.objects.published().for_cards()[:12]
    cloud = Tag.objects.annotate(article_count=Count("articles")).order_by("-article_count", "id")
    return render(request, "publication/home.html", {"articles": lead, "cloud": cloud[:40]})


def article_list(request):
    articles = Article.objects.published().for_cards()
    return render(request, "publication/article_list.html", {"page": page_of(request, articles)})


def article_detail(request, pk):
    article = get_object_or_404(
        Article.objects.select_related("author__user").prefetch_related("tags"), pk=pk
    )
    editable = may_edit(request.user, article)
    if article.status == Article.Status.DRAFT and not editable:
        raise Http404("not published")
    comments = article.comments.select_related("user__profile")
    context = {
        "article": article,
        "comments": page_of(request, comments, COMMENTS_PER_PAGE),
        "rating": article.comments.aggregate(average=Avg("rating"), last=Max("created_at")),
        "more_by_author": article.author.articles.published().exclude(pk=pk).defer("body")[:5],
        "form": CommentForm() if request.user.is_authenticated else None,
        "may_edit": editable,
    }
    return render(request, "publication/article_detail.html", context)


def author_list(request):
    authors = Author.objects.annotate(article_count=Count("articles")).order_by("name", "id")
    return render(
        request, "publication/author_list.html", {"page": page_of(request, authors, 50)}
    )


def author_detail(request, slug):
    author = get_object_or_404(Author.objects.select_related("user"), slug=slug)
    published = author.articles.published()
    context = {
        "author": author,
        "page": page_of(request, published.for_cards()),
        "figures": published.aggregate(words=Sum("word_count"), last=Max("published_at")),
        "comment_figures": Comment.objects.filter(article__author=author).aggregate(
            comments=Count("id"), rating=Avg("rating")
        ),
    }
    return render(request, "publication/author_detail.html", context)


def tag_list(request):
    tags = Tag.objects.annotate(article_count=Count("articles")).order_by("name", "id")
    return render(request, "publication/tag_list.html", {"tags": tags})


def tag_detail(request, slug):
    tag = get_object_or_404(Tag, slug=slug)
    articles = tag.articles.published().for_cards()
    return render(
        request, "publication/tag_detail.html", {"tag": tag, "page": page_of(request, articles)}
    )


def search(request):
    query = request.GET.get("q", "").strip()
    context = {"query": query}
    if query:
        found = Article.objects.published().filter(title__icontains=query).for_cards()
        context["page"] = page_of(request, found)
    return render(request, "publication/search.html", context)


def may_edit(user, article):
    return user.is_authenticated and (user.is_staff or article.author.user_id == user.pk)


@login_required
@require_POST
def comment_add(request, pk):
    article = get_object_or_404(Article.objects.defer("body"), pk=pk)
    form = CommentForm(request.POST)
    if form.is_valid():
        form.instance.article = article
        form.instance.user = request.user
        form.save()
        messages.success(request, "Your comment is published.")
    else:
        messages.error(request, "A comment needs a text and a rating.")
    return redirect(article)


@login_required
def article_new(request):
    author = get_object_or_404(Author, user=request.user)
    form = ArticleForm(request.POST or None, instance=Article(author=author))
    return save_or_show(request, form, "publication/article_form.html")


@login_required
def article_edit(request, pk):
    article = get_object_or_404(Article.objects.select_related("author"), pk=pk)
    if not may_edit(request.user, article):
        raise PermissionDenied
    form = ArticleForm(request.POST or None, instance=article)
    return save_or_show(request, form, "publication/article_form.html")


def save_or_show(request, form, template):
    if request.method == "POST" and form.is_valid():
        return redirect(form.save())
    return render(request, template, {"form": form})


@login_required
def profile(request):
    own, _ = Profile.objects.get_or_create(
        user=request.user, defaults={"display_name": request.user.get_username()}
    )
    form = ProfileForm(request.POST or None, instance=own)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    comments = request.user.comments.select_related("article").defer("article__body")[:10]
    return render(request, "publication/profile.html", {"form": form, "comments": comments})
