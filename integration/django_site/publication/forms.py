"""The forms of the site."""
from django import forms

from .models import Article, Comment, Profile


class CommentForm(forms.ModelForm):
    class Meta:
        model = Comment
        fields = ["body", "rating"]
        widgets = {"body": forms.Textarea(attrs={"rows": 4})}


class ArticleForm(forms.ModelForm):
    class Meta:
        model = Article
        fields = ["title", "summary", "body", "tags", "status"]
        widgets = {"summary": forms.Textarea(attrs={"rows": 3})}


class ProfileForm(forms.ModelForm):
    class Meta:
        model = Profile
        fields = ["display_name", "about", "location", "newsletter"]
