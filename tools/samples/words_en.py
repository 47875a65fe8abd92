"""English names, sentences and templates, all invented.

Marks: ``[PER Ada Moor]`` is an entity; ``{per1}`` is the first person of the document's cast, ``{last1}`` the last
name alone, ``{org1}``, ``{loc1}``, ``{origin1}`` likewise, ``{n}`` a number. Words and signs are parted by blanks.
"""

from __future__ import annotations

from samples import listed

FIRST = listed(
    "Amara Bruno Celia Dmitar Elspeth Farid Greta Hiroshi Ingrid Jonas Keziah Lorenzo Mei Nadia Oskar Priya Quentin "
    "Rosalind Samuel Tamsin Umar Violeta Wendell Ximena Yusuf Zofia Anders Beatriz Conor Daria Emeka Fiona"
)
LAST = listed(
    "Okonjo Lindqvist Marchetti Abernathy Kowalczyk Tanabe Oyelaran Ferreira Novotny Halloran Iyengar Jorgensen "
    "Castellano Drummond Papadakis Sorensen Villareal Whitlock Zielinski Achterberg Bellweather Chaudhry Dufresne "
    "Eastmoor Fairclough Grunwald Haddad Iversen Kirchner Laskaris Montague Nakagawa Ostrander Pemberton Quiroga "
    "Rasmussen Stavros Thackeray Underhill Vasquez Wolcott Yamada"
)
LOC = listed(
    "Lisbon|Nairobi|Porto Alegre|Gdansk|Norway|Chile|Kyoto|Dresden|Cape Verde|Wellington|Ghent|Tunisia|Calgary|Bergen|"
    "Montevideo|Latvia|Oslo|Salzburg|Kenya|New Caledonia|Split|Uppsala|Peru|Lagos|Adelaide|Tartu|Vietnam|Zagreb|"
    "Lake Orrin|Mount Caldera|Port Ellery|East Harrow|Vantmoor|Saint Orla|Brackwater|Kingsferry|Upper Tolland|Ghana|"
    "Slovenia|Aarhus|Quito|Manila|Morocco|Seville|Leipzig|Osaka|Bogota|Iceland"
)
ORG = listed(
    "Northgate Bank|Tessaly Foods|Brightwell Energy|Calder & Sons|University of Vantmoor|Meridian Airways|"
    "Pellham Motors|Federation of Millers|Kestrel Press|Ministry of Fisheries|Arden Pharmaceuticals|Quill Software|"
    "Ferngate Hospital|Union of Tram Drivers|Bluewater Shipping|Stonebridge Council|Delmar Textiles|Ivory Coast Lines|"
    "Novaris|Zentrum Research Institute|Palisade Insurance|Umbra Records|Grayling Mining|Corvane|Amberly Steel|"
    "Society of Cartographers|Fenwick Chemicals"
)
CLUB = listed(
    "Harrow United|Orrin Rovers|Lakeside City|Solway Athletic|Hillcrest Wanderers|Port Ellery Athletic|Marlow Rangers|"
    "Tolland Town|Kingsferry Albion|Dynamo Vantmoor"
)
ORIGIN = listed(
    "Norwegian Chilean Kenyan Latvian Portuguese Peruvian Vietnamese Moroccan Slovenian Icelandic Ghanaian Croatian "
    "Danish Tunisian Austrian Uruguayan Estonian"
)
EVENT = listed(
    "Harbour Cup|Winter Games|Golden Anchor|Lake District Open|Festival of Lanterns|Vantmoor Marathon|Caldera Prize|"
    "Northern League|Orrin Regatta|Lantern Week"
)

TEMPLATES = (
    "{per1} , chairman of {org1} , resigned on Tuesday after {n} years .",
    "{org1} said it would open a plant in {loc1} next spring .",
    "Shares of {org1} fell {n} percent in {loc2} on Friday .",
    '" We have nothing to hide , " {last1} told reporters in {loc1} .',
    "{club1} beat {club2} {goals} - 1 at home on Sunday .",
    "The {origin1} midfielder {per2} scored twice for {club2} .",
    "{per2} of {club2} will miss the {event1} with a knee injury .",
    "Police in {loc2} arrested {n} people after the match .",
    "A spokesman for {org2} declined to comment .",
    "{last2} flew from {loc1} to {loc2} late on Thursday .",
    "The {origin1} government rejected the offer from {org1} .",
    "{per1} , who was born in {loc2} , has led {org1} since last autumn .",
    "Heavy rain closed the road between {loc1} and {loc2} for {n} hours .",
    "Farmers near {loc1} expect the smallest harvest in {n} years .",
    "{org1} , based in {loc1} , employs about {n} people .",
    "{per1} and {per2} met in {loc1} to sign the papers .",
    "{last1} won the {event1} ahead of the {origin1} favourite {per2} .",
    "The court in {loc2} ordered {org2} to pay {n} million .",
    "No one was hurt , {last2} said .",
    "Analysts had expected {org1} to report a profit of {n} million .",
    "{per2} ( {loc1} ) finished in {n} minutes .",
    "Trains to {loc2} were late again on Monday .",
    "Talks between {org1} and {org2} broke off without a result .",
    "{origin1} exports to {loc2} rose by {n} percent , {org2} reported .",
    "The novel by {per1} was published by {org2} in March .",
    "Doctors at {org1} treated {n} passengers from {loc2} .",
    "{last1} called the decision of {org2} a mistake .",
    "Voters in {loc1} go to the polls on Sunday .",
    "The bridge over the river will stay closed until June .",
    "{org2} bought the {origin1} maker of bicycles for {n} million .",
    "{per1} replaces {per2} as coach of {club1} .",
    "The {event1} starts in {loc1} in {n} days .",
    "Fishermen from {loc2} blocked the harbour of {loc1} on Wednesday .",
    "It was the first visit by a {origin1} minister to {loc2} .",
    "{org1} will sponsor the {event1} for {n} years .",
    '" {last2} is the best we have , " said {per1} .',
    "Prices were little changed in quiet trade .",
    "{per2} , a {origin1} sculptor , lives in {loc1} .",
    "{org2} named {per1} as its new director on Monday .",
    "The ferry from {loc1} arrived {n} minutes early .",
)
HEADLINES = (
    "{ORG1} NAMES NEW CHAIRMAN .",
    "{CLUB1} BEAT {CLUB2} IN {LOC1} .",
    "{LOC1} BRACES FOR STORM .",
    "SHARES IN {ORG1} FALL .",
    "{LAST1} WINS {EVENT1} .",
    "{LOC1} AND {LOC2} REOPEN FERRY LINE .",
    "FOOTBALL - {LAST2} SIGNS FOR {CLUB2} .",
)

BY_HAND = {
    "train": (
        "Old [PER Keziah Abernathy] kept bees behind the station in [LOC Upper Tolland] and sold the honey to nobody .",
        "In [LOC Ghent] it rained on every day of the [MISC Festival of Lanterns] .",
        "The union said [ORG Amberly Steel] had promised gloves in January and delivered them in July .",
        "Not even [PER Wendell Thackeray] , who wrote the rules , could explain rule nine .",
        "[ORG Kestrel Press] lost its lease , its editor and , in the end , its name .",
        "Three [MISC Estonian] choirs shared a bus , a bridge and a prize .",
        "[PER Mei Nakagawa] : 41 points , the most ever scored at [LOC Kingsferry] .",
        "[LOC Brackwater] , June 4 .",
        "[MISC Danish] butter and [MISC Chilean] copper were cheaper .",
        "He left the keys with [PER Fiona Halloran] of the [ORG Ministry of Fisheries] .",
    ),
    "valid": (
        "Nobody at [ORG Fenwick Chemicals] remembered who had ordered the second chimney .",
        "[PER Umar Chaudhry] walked the last mile to [LOC Saint Orla] on one shoe .",
        "A [MISC Croatian] goalkeeper , two fines and a broken post : the [MISC Harbour Cup] was back .",
        "The archive moved from [LOC Tartu] to [LOC Uppsala] in {n} crates .",
    ),
    "test": (
        "[PER Rosalind Pemberton] returned the medal that [ORG Grayling Mining] had sent her .",
        "The [MISC Icelandic] pilot asked [LOC Aarhus] for permission and a sandwich .",
        "Since the flood , [ORG Ferngate Hospital] has stood on stilts .",
        "[PER Jonas Kirchner] of [ORG Orrin Rovers] said little and scored often .",
    ),
}

PRODUCT = listed(
    "Kestrel 40|PocketLoom|Zephyr Mini|BrewMate 3|Glidepad|Nimbus X|Tinytone|Orbit Kettle|LumaCam 2|Fennec phone"
)
WORK = listed(
    "The Salt Orchard|Nine Quiet Doors|Paper Lighthouse|Moth Season|Letters to Vantmoor|Static Garden|Low Tide Radio|"
    "The Cartographer 's Aunt|Winter Bees|Half a Harbour"
)
GROUP = listed(
    "Harrow United|The Velvet Herons|Orrin Rovers|Solway Athletic|Copper Owls|Lakeside City|Midnight Bakery|"
    "Marlow Rangers|Seven Ferrymen|The Tin Parade"
)
CORPORATION = listed(
    "Novaris|Quill Software|Meridian Airways|Corvane|Tessaly Foods|Umbra Records|Pellham Motors|Northgate Bank|"
    "Bluewater Shipping|Palisade Insurance"
)
TWEETS = (
    "omg {person} is playing in {location} tonight !!! 😭",
    "RT @{handle} : {group} {n} - 0 what a night",
    "just finished {work} and i have so many feelings",
    "my new {product} died after {n} days thanks {corporation} 🙃",
    "@{handle} are you coming to {location} or not",
    "stuck at {location} station again , {corporation} pls fix",
    "{person} should totally direct {work} imo",
    "who else cant sleep",
    "Selling my {product} , like new , dm me #sale",
    "{group} need a new keeper and thats it",
    "nobody : me : watching {work} for the {n} th time",
    "{corporation} is hiring in {location} http://t.example/{n}",
    "happy birthday {person} u legend 🎂",
    "@{handle} @{handle} the {product} is not worth it tbh",
    "coffee first .",
    "saw {person} at the {group} show omg omg",
    "{location} in the rain > anywhere in the sun",
    "lol {person} thinks {group} will win the league",
    "why is {work} not on here yet ???",
    "new song by {group} out friday !! #newmusic",
    "ugh monday",
    "flight to {location} delayed {n} hrs . thank u {corporation}",
    "hot take : {work} > everything {person} ever made",
    "u guys . the {product} . in pink . i cant",
    "Train from {location} to {location} is so pretty right now",
    "{person} liked my tweet and im not ok",
    "#nowplaying {work} by {group} ♫",
    "does anyone at {corporation} answer the phone ?",
)
TWEETS_BY_HAND = {
    "train": (
        "My cat has watched [creative-work Moth Season] twice and [person keziah] only once",
        "[location upper tolland] has one bus , one pub , one opinion",
        "everyone in [group the velvet herons] is named tom ?? suspicious",
        "@bakerlou the [product orbit kettle] sings . actually sings .",
        "[corporation corvane] raised prices again so i raised my eyebrows",
    ),
    "dev": (
        "grandma met [person lorenzo quiroga] in [location seville] and did not tell us for 30 yrs",
        "ok the [product glidepad] update is fine i guess",
        "if [group copper owls] cancel again im learning the drums myself",
    ),
    "test": (
        "three hrs of [creative-work half a harbour] and not one harbour",
        "[person tamsin] moved to [location quito] for the soup",
        "dear [corporation umbra records] : vinyl is not supposed to be square",
    ),
}
HANDLES = listed("bakerlou tramfan_88 miss_otter nightbus quietkev pixelgran saltyfern owlpost77 drjam loomking")
