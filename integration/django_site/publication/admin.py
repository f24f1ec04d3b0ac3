"""The admin of the publication."""
from django.contrib import admin

from .models import Article, Author, Comment, Profile, Tag


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ["name", "location", "joined_on"]
    search_fields = ["name"]
    raw_id_fields = ["user"]


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "is_section"]
    list_filter = ["is_section"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "status", "is_featured", "word_count", "published_at"]
    list_filter = ["status", "is_featured"]
    list_select_related = ["author"]
    list_per_page = 50
    search_fields = ["title"]
    raw_id_fields = ["author"]
    filter_horizontal = ["tags"]
    exclude = ["word_count"]


@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):
    list_display = ["id", "article", "user", "rating", "created_at"]
    list_filter = ["rating"]
    list_select_related = ["article", "user"]
    list_per_page = 50
    raw_id_fields = ["article", "user"]


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["display_name", "user", "location", "newsletter"]
    list_select_related = ["user"]
    raw_id_fields = ["user"]
