"""URLs of the publication."""
from django.urls import path

from . import reports, views

urlpatterns = [
    path("", views.home, name="home"),
    path("articles/", views.article_list, name="article-list"),
    path("articles/new/", views.article_new, name="article-new"),
    path("articles/<int:pk>/edit/", views.article_edit, name="article-edit"),
    path("articles/<int:pk>/comment/", views.comment_add, name="comment-add"),
    path("articles/<int:pk>/", views.article_detail, name="article"),
    path("authors/", views.author_list, name="author-list"),
    path("authors/<slug:slug>/", views.author_detail, name="author"),
    path("tags/", views.tag_list, name="tag-list"),
    path("tags/<slug:slug>/", views.tag_detail, name="tag"),
    path("search/", views.search, name="search"),
    path("profile/", views.profile, name="profile"),
    path("dashboard/", reports.dashboard, name="dashboard"),
    path("dashboard/<int:year>/<int:month>/", reports.dashboard_month, name="dashboard-month"),
    path("edition/<int:year>/<int:month>/<int:day>/", reports.edition, name="edition"),
]
