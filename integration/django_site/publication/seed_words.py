"""The words that seeded texts are made of, and sentences made of them by a fixed generator."""
import random

FIRST_NAMES = (
    "Ada Amara Anton Beatriz Bela Chen Clara Daan Dalia Edda Elif Emil Farid Fiona Goran Greta Hana "
    "Hugo Ines Ivan Jana Jonas Kaya Kofi Lena Luca Maya Milan Nadia Noor Olga Omar Petra Quentin Rosa "
    "Ruben Sana Stefan Tariq Tove Uma Viktor Wanda Xenia Yara Yusuf Zeno Zoe"
).split()
LAST_NAMES = (
    "Adler Aydin Bakker Becker Castro Cohen Danso Diallo Eriksen Evans Farkas Fischer Garcia Gruber "
    "Haddad Hansen Ivanov Jensen Kaplan Keller Kovacs Lange Larsen Lindt Moreau Moser Nagy Novak Okafor "
    "Olsen Park Petit Quist Rossi Sato Silva Steiner Tanaka Torres Ulrich Varga Vogel Weber Wong Yilmaz "
    "Zanetti Ziegler Zimmer"
).split()
PLACES = (
    "Accra Bergen Bilbao Brno Cork Dakar Gdansk Ghent Graz Izmir Kyoto Lagos Leeds Lima Lyon Malmo "
    "Nantes Odense Osaka Ottawa Porto Quito Riga Tampere Trieste Turin Utrecht Varna Vienna Zagreb"
).split()
ADJECTIVES = (
    "quiet late small bright slow honest broken patient public private early distant careful borrowed "
    "second hidden common sudden costly gentle open narrow foreign ancient"
).split()
NOUNS = (
    "river budget library election market bridge harvest school museum railway archive garden border "
    "factory hospital orchestra vaccine satellite glacier festival harbour language court forest theatre "
    "newspaper laboratory reservoir bakery stadium"
).split()
VERBS = (
    "returns closes grows divides surprises survives moves opens waits changes fails recovers connects "
    "disappears expands"
).split()
TOPICS = (
    "Politics Science Culture Economy Sports Cities Health Climate Travel Food Books Film Music "
    "Technology Schools Labour Energy Housing Courts Oceans"
).split()
ANGLES = (
    "abroad tomorrow explained revisited interviews letters figures history portraits debates reports "
    "essays maps notes questions"
).split()
OPENERS = (
    "Thank you for this.|I was there that day.|This is half of the story.|My father used to say the same.|"
    "Not convinced.|Finally somebody says it.|The figures look odd to me.|I read it twice.|"
    "Beautifully written.|We had that in our town as well.|I disagree with the conclusion.|"
    "Good questions, few answers.|Could you name the source?|It is more complicated.|Well observed."
).split("|")
CLOSERS = (
    "Please stay with the subject.|What happened afterwards?|I would like to hear the other side.|"
    "The council will not like it.|My neighbours see it differently.|A second part would be welcome.|"
    "I will bring it to class.|Somebody should write to the minister.|It made my morning.|"
    "The photograph says it all.|Greetings from the coast.|I cancelled my ticket after that.|"
    "In ten years we shall laugh about it.|The comments below are worth reading too.|"
    "I remain doubtful."
).split("|")


def sentences(count):
    """`count` sentences, always the same."""
    generator = random.Random(1848)
    made = []
    for _ in range(count):
        pick = generator.choice
        made.append(
            f"The {pick(ADJECTIVES)} {pick(NOUNS)} of {pick(PLACES)} {pick(VERBS)} while the "
            f"{pick(ADJECTIVES)} {pick(NOUNS)} {pick(VERBS)}, and {pick(FIRST_NAMES)} "
            f"{pick(LAST_NAMES)} keeps the {pick(ADJECTIVES)} {pick(NOUNS)} in mind."
        )
    return made


def paragraphs(count):
    """`count` paragraphs of two or three sentences, always the same."""
    generator = random.Random(1914)
    stock = sentences(200)
    return [" ".join(generator.sample(stock, generator.choice((2, 3)))) for _ in range(count)]
