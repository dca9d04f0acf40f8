/** Interests that fill ordinary days. Every name is invented. */

import type { Concept } from './concept.ts'

export const EVERYDAY_CONCEPTS: readonly Concept[] = [
  {
    name: 'groceries',
    category: 'groceries',
    merchants: [
      { name: 'Corner Basket', items: ['weekly shop', 'fruit and bread'], price: [8, 95], channel: 'POS' },
      {
        name: 'Greenfield Market',
        items: ['vegetables', 'cheese and olives'],
        price: [4, 40],
        channel: 'QR',
      },
      { name: 'Harbour Bakery', items: ['sourdough loaf', 'rolls'], price: [3, 15], channel: 'QR' },
      {
        name: 'Doorstep Grocer',
        items: ['grocery delivery', 'pantry box'],
        price: [25, 120],
        channel: 'ONLINE',
      },
    ],
    queries: [
      '{food} offers this week',
      'is {food} in season',
      '{food} delivery today',
      'how long does {food} keep',
    ],
    slots: {
      food: ['tomato', 'asparagus', 'salmon', 'oat milk', 'strawberry', 'rye bread', 'lentil', 'butter'],
    },
    site: 'doorstep-grocer',
    blocks: ['offers', 'fresh', 'pantry'],
    titles: ['This week: {food}', 'Your usual basket', 'Delivery slots tonight', '{food} from nearby farms'],
    programs: [
      {
        id: 'basket-club',
        name: 'Basket Club',
        services: ['collect points', 'weekly coupons', 'scan and go'],
      },
    ],
    apps: [
      { id: 'dev.world.doorstep', name: 'Doorstep Grocer' },
      { id: 'dev.world.pantry', name: 'Pantry List' },
    ],
  },
  {
    name: 'dining',
    category: 'restaurants',
    merchants: [
      { name: 'Noodle House Lin', items: ['lunch set', 'noodle soup'], price: [9, 28], channel: 'QR' },
      { name: 'Trattoria Verde', items: ['dinner for two', 'pizza'], price: [18, 90], channel: 'POS' },
      { name: 'Blue Cup Coffee', items: ['flat white', 'coffee and cake'], price: [3, 14], channel: 'QR' },
      {
        name: 'Spoon Courier',
        items: ['dinner delivery', 'curry delivery'],
        price: [14, 55],
        channel: 'ONLINE',
      },
    ],
    queries: [
      'best {dish} near me',
      '{dish} open late',
      'book a table for {dish}',
      '{dish} recipe that is quick',
    ],
    slots: { dish: ['ramen', 'dumplings', 'tapas', 'pho', 'brunch', 'sushi', 'falafel', 'pizza'] },
    site: 'spoon-courier',
    blocks: ['nearby', 'top rated', 'deals'],
    titles: [
      '{dish} within 20 minutes',
      'Where locals eat {dish}',
      'Table for two tonight',
      'New on the menu: {dish}',
    ],
    programs: [
      { id: 'table-now', name: 'Table Now', services: ['book a table', 'join the queue', 'split the bill'] },
    ],
    apps: [
      { id: 'dev.world.spoon', name: 'Spoon Courier' },
      { id: 'dev.world.tablenow', name: 'Table Now' },
    ],
  },
  {
    name: 'commuting',
    category: 'local transport',
    merchants: [
      { name: 'City Metro', items: ['single ride', 'day ticket'], price: [2, 9], channel: 'QR' },
      { name: 'Metro Pass Office', items: ['monthly pass'], price: [49, 90], channel: 'AUTO_DEBIT' },
      { name: 'Pedal Share', items: ['bike ride'], price: [1, 6], channel: 'QR' },
      { name: 'Hail Cab', items: ['ride home', 'ride across town'], price: [8, 40], channel: 'ONLINE' },
    ],
    queries: ['{line} delays', '{line} timetable', 'next train on {line}', 'fastest way to work by {line}'],
    slots: {
      line: ['line 2', 'line 7', 'the ring line', 'bus 41', 'tram 9', 'the harbour ferry', 'night bus 3'],
    },
    site: 'city-metro',
    blocks: ['live', 'tickets', 'map'],
    titles: [
      'Live departures: {line}',
      'Service changes on {line}',
      'Renew your pass',
      'Bikes near your station',
    ],
    programs: [
      { id: 'ride-code', name: 'Ride Code', services: ['show ride code', 'top up', 'trip history'] },
    ],
    apps: [
      { id: 'dev.world.metro', name: 'City Metro' },
      { id: 'dev.world.hail', name: 'Hail Cab' },
    ],
  },
  {
    name: 'fitness',
    category: 'sport and fitness',
    merchants: [
      { name: 'Iron Hall Gym', items: ['membership', 'day pass'], price: [12, 70], channel: 'AUTO_DEBIT' },
      { name: 'Runner Lane', items: ['running shoes', 'rain jacket'], price: [35, 180], channel: 'POS' },
      {
        name: 'Still Mind Yoga',
        items: ['yoga class', 'ten class card'],
        price: [14, 130],
        channel: 'ONLINE',
      },
    ],
    queries: [
      '{plan} training plan',
      'stretching after {plan}',
      'shoes for {plan}',
      'how often should I train for {plan}',
    ],
    slots: { plan: ['half marathon', '10k', 'triathlon', 'strength', 'open water swimming', 'spring race'] },
    site: 'runner-lane',
    blocks: ['training', 'shoes', 'community'],
    titles: [
      '{plan}: week by week',
      'What to eat before {plan}',
      'Classes this evening',
      'Running groups near you',
    ],
    programs: [
      { id: 'iron-hall', name: 'Iron Hall', services: ['check in', 'book a class', 'see my progress'] },
    ],
    apps: [
      { id: 'dev.world.stride', name: 'Stride Log' },
      { id: 'dev.world.stillmind', name: 'Still Mind' },
    ],
  },
  {
    name: 'gaming',
    category: 'games',
    merchants: [
      { name: 'Pixel Vault', items: ['season pass', 'game download'], price: [5, 70], channel: 'ONLINE' },
      { name: 'Arcane Realms', items: ['coins', 'monthly subscription'], price: [2, 30], channel: 'ONLINE' },
      { name: 'Controller Shop', items: ['controller', 'headset'], price: [30, 140], channel: 'POS' },
    ],
    queries: [
      '{game} walkthrough',
      '{game} patch notes',
      'best build in {game}',
      '{game} server status',
      '{game} release date',
    ],
    slots: { game: ['Arcane Realms', 'Star Freight', 'Kart Legends', 'Hollow Keep', 'Block Farm'] },
    site: 'pixel-vault',
    blocks: ['store', 'news', 'guides'],
    titles: ['{game}: what is new', 'Weekend sale', '{game} tournament bracket', 'Guides for {game}'],
    programs: [
      { id: 'realm-mini', name: 'Realm Mini', services: ['daily reward', 'invite a friend', 'buy coins'] },
    ],
    apps: [
      { id: 'dev.world.realms', name: 'Arcane Realms' },
      { id: 'dev.world.kart', name: 'Kart Legends' },
    ],
  },
  {
    name: 'films',
    category: 'films and series',
    merchants: [
      {
        name: 'Streamhouse',
        items: ['monthly subscription', 'film rental'],
        price: [4, 18],
        channel: 'AUTO_DEBIT',
      },
      { name: 'Odeon Square', items: ['two tickets', 'ticket and popcorn'], price: [11, 45], channel: 'QR' },
      { name: 'Vinyl Corner', items: ['record', 'poster'], price: [12, 50], channel: 'POS' },
    ],
    queries: [
      '{genre} worth watching',
      'new {genre} this month',
      '{genre} like the old ones',
      '{genre} tonight at the cinema',
    ],
    slots: {
      genre: ['crime series', 'space films', 'documentaries', 'comedies', 'horror films', 'period dramas'],
    },
    site: 'streamhouse',
    blocks: ['for you', 'trending', 'continue watching'],
    titles: ['{genre} you may like', 'Leaving soon: {genre}', 'Trailer of the week', 'Showtimes tonight'],
    programs: [
      { id: 'seat-pick', name: 'Seat Pick', services: ['choose seats', 'show ticket', 'rate a film'] },
    ],
    apps: [
      { id: 'dev.world.streamhouse', name: 'Streamhouse' },
      { id: 'dev.world.podwave', name: 'Podwave' },
    ],
  },
  {
    name: 'fashion',
    category: 'clothing',
    merchants: [
      { name: 'Linen & Oak', items: ['jacket', 'two shirts'], price: [25, 220], channel: 'POS' },
      { name: 'Second Thread', items: ['vintage coat', 'used jeans'], price: [9, 60], channel: 'ONLINE' },
      { name: 'Sole Street', items: ['sneakers', 'boots'], price: [40, 190], channel: 'ONLINE' },
    ],
    queries: ['{garment} in my size', 'how to style a {garment}', '{garment} sale', 'second hand {garment}'],
    slots: { garment: ['wool coat', 'linen shirt', 'denim jacket', 'white sneakers', 'rain boots', 'scarf'] },
    site: 'linen-and-oak',
    blocks: ['new in', 'sale', 'outfits'],
    titles: ['{garment}: new colours', 'Outfits of the week', 'Last sizes: {garment}', 'Returns made easy'],
    programs: [
      { id: 'fit-room', name: 'Fit Room', services: ['find my size', 'reserve in store', 'start a return'] },
    ],
    apps: [
      { id: 'dev.world.thread', name: 'Second Thread' },
      { id: 'dev.world.oak', name: 'Linen & Oak' },
    ],
  },
  {
    name: 'electronics',
    category: 'electronics',
    merchants: [
      { name: 'Volt Store', items: ['headphones', 'phone', 'laptop'], price: [40, 1_400], channel: 'POS' },
      { name: 'Cable & Co', items: ['charger', 'keyboard'], price: [9, 120], channel: 'ONLINE' },
      { name: 'Mend It', items: ['screen repair', 'battery change'], price: [30, 160], channel: 'POS' },
    ],
    queries: ['{device} review', '{device} versus last year', 'used {device} price', '{device} battery life'],
    slots: {
      device: ['phone 15', 'laptop', 'tablet', 'noise cancelling headphones', 'smart watch', 'e-reader'],
    },
    site: 'volt-store',
    blocks: ['compare', 'deals', 'trade in'],
    titles: ['{device}: compare models', 'Trade in your old one', '{device} deals today', 'Open box offers'],
    programs: [
      { id: 'volt-care', name: 'Volt Care', services: ['register a device', 'book a repair', 'trade in'] },
    ],
    apps: [
      { id: 'dev.world.volt', name: 'Volt Store' },
      { id: 'dev.world.photobox', name: 'Photobox' },
    ],
  },
]
