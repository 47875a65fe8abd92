"""Invented texts, each with a translation in which a name is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExamplePair:
    """A text in both languages with a short title."""

    title: str
    texts: dict[str, str]


EXAMPLES = {
    "museum": ExamplePair(
        "A museum opens",
        {
            "ru": "Директор музея «Северный свет» Анна Ветрова рассказала, что новое здание откроют в Архангельске в "
            "сентябре. Проект Ветровой поддержал министр культуры Павел Озёрный, который приедет на открытие из "
            "Москвы. Первую выставку готовят вместе с ЮНЕСКО и музеями Норвегии.",
            "en": "Anna Verrova, director of the Northern Light museum, said that its new building in Arkhangelsk will "
            "open in September. Verrova's project was backed by the culture minister, Pavel Ozyorny, who will come to "
            "the opening from Moscow. The first exhibition is prepared with UNESCO and museums in Norway.",
        },
    ),
    "harbour": ExamplePair(
        "A harbour deal",
        {
            "ru": "Компания Nordwind Shipping купит два терминала в Роттердаме, сообщила в Осло её председатель Ингрид "
            "Халворсен. Половину суммы даст банк «Волжский берег», сказал в Самаре Игорь Мельниченко. Халворсен "
            "назвала сделку смелой. Её ещё должна одобрить Еврокомиссия.",
            "en": "Nordwind Shipping will buy two terminals in Antwerp, its chairwoman Ingrid Halvorsen said in Oslo. "
            "Volga Coast bank will lend half of the price, said Igor Melnichenko in Samara. Halvorsen called the deal "
            "bold. It still needs the approval of the European Commission.",
        },
    ),
    "talks": ExamplePair(
        "Talks in Vienna",
        {
            "ru": "В Вене завершились переговоры под эгидой ООН. Делегацию США возглавлял Джордж Уитмор, делегацию "
            "Австрии – Клара Бергман. «Мы близки к соглашению», – сказал Уитмор. Наблюдатель от ОБСЕ Тимур Шарипов "
            "вылетит в Женеву.",
            "en": "Talks under the auspices of the United Nations have ended in Vienna. George Whitmore led the "
            "delegation of the United States, Klara Bergman that of Australia. “We are close to an agreement,” "
            "Whitmore said. Timur Sharipov, an observer of the OSCE, will fly to Geneva.",
        },
    ),
}
