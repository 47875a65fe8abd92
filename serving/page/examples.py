"""Invented texts, and pairs of a text and a translation in which a name is wrong."""

EXAMPLES = {
    "harbour": {
        "title": "A harbour deal",
        "text": "Nordwind Shipping has agreed to buy two terminals in Rotterdam, its chairwoman Ingrid Halvorsen said "
        "in Oslo on Tuesday.\nThe Dutch port authority and Banco Miradouro will lend half of the price; analyst Tomás "
        "Arroyo of Keel & Partners called the deal “bold, and long overdue”.",
    },
    "match": {
        "title": "A cup match",
        "text": "Marta Oliveira scored twice as Porto Atlético beat Dynamo Lakeside 3-1 in the quarter-final of the "
        "Meridian Cup.\nCoach Emil Brandt, who left Vienna last spring, praised the Portuguese forward.",
    },
    "post": {
        "title": "A short post",
        "text": "omg just met Lena Fairweather at the Brightwave booth in Austin 😍 next stop: Lisbon!! #PixelFest",
    },
    "museum": {
        "title": "Новый музей",
        "text": "Директор музея «Северный свет» Анна Ветрова рассказала, что новое здание откроют в Архангельске в "
        "сентябре.\nПроект подготовило бюро «Линия», а министр культуры Павел Озёрный пообещал приехать на открытие из "
        "Москвы.",
    },
    "bank": {
        "title": "Сделка банка",
        "text": "Банк «Волжский берег» купит долю в компании Nordwind Shipping, сообщил в Самаре его председатель "
        "Игорь Мельниченко.\nСделку ещё должны одобрить власти Норвегии и Европейская комиссия.",
    },
}

PARALLEL_EXAMPLES = {
    "museum": {
        "title": "A museum opens",
        "ru": "Директор музея «Северный свет» Анна Ветрова рассказала, что новое здание откроют в Архангельске в "
        "сентябре. Проект Ветровой поддержал министр культуры Павел Озёрный, который приедет на открытие из Москвы. "
        "Первую выставку готовят вместе с ЮНЕСКО и музеями Норвегии.",
        "en": "Anna Verrova, director of the Northern Light museum, said that its new building in Arkhangelsk will "
        "open in September. Verrova's project was backed by the culture minister, Pavel Ozyorny, who will come to the "
        "opening from Moscow. The first exhibition is prepared with UNESCO and museums in Norway.",
    },
    "harbour": {
        "title": "A harbour deal",
        "ru": "Компания Nordwind Shipping купит два терминала в Роттердаме, сообщила в Осло её председатель Ингрид "
        "Халворсен. Половину суммы даст банк «Волжский берег», сказал в Самаре Игорь Мельниченко. Халворсен назвала "
        "сделку смелой. Её ещё должна одобрить Еврокомиссия.",
        "en": "Nordwind Shipping will buy two terminals in Antwerp, its chairwoman Ingrid Halvorsen said in Oslo. "
        "Volga Coast bank will lend half of the price, said Igor Melnichenko in Samara. Halvorsen called the deal "
        "bold. It still needs the approval of the European Commission.",
    },
    "talks": {
        "title": "Talks in Vienna",
        "ru": "В Вене завершились переговоры под эгидой ООН. Делегацию США возглавлял Джордж Уитмор, делегацию Австрии "
        "– Клара Бергман. «Мы близки к соглашению», – сказал Уитмор. Наблюдатель от ОБСЕ Тимур Шарипов вылетит в "
        "Женеву.",
        "en": "Talks under the auspices of the United Nations have ended in Vienna. George Whitmore led the delegation "
        "of the United States, Klara Bergman that of Australia. “We are close to an agreement,” Whitmore said. Timur "
        "Sharipov, an observer of the OSCE, will fly to Geneva.",
    },
}
