/** Interests that come with a change in somebody's life. Every name is invented, the cities excepted. */

import type { Concept } from './concept.ts'

export const LIFE_CONCEPTS: readonly Concept[] = [
  {
    name: 'travel',
    category: 'travel',
    merchants: [
      {
        name: 'Northline Rail',
        items: ['train ticket to {city}', 'return ticket to {city}'],
        price: [19, 160],
        channel: 'ONLINE',
      },
      {
        name: 'Meridian Air',
        items: ['flight to {city}', 'extra luggage'],
        price: [60, 520],
        channel: 'ONLINE',
      },
      {
        name: 'Hotel Laurel',
        items: ['two nights in {city}', 'hotel deposit'],
        price: [80, 430],
        channel: 'ONLINE',
      },
      { name: 'Suitcase Sam', items: ['cabin bag', 'travel adapter'], price: [12, 140], channel: 'POS' },
    ],
    queries: [
      'hotels in {city}',
      'train to {city}',
      'weather in {city} next week',
      'things to do in {city}',
      'quiet hotel near {city} station',
    ],
    slots: { city: ['Lisbon', 'Kyoto', 'Vienna', 'Oslo', 'Porto', 'Bologna', 'Edinburgh', 'Hangzhou'] },
    site: 'northline-rail',
    blocks: ['tickets', 'hotels', 'city guide'],
    titles: ['Hotels in {city}', '{city} in three days', 'Trains to {city}', 'Your booking to {city}'],
    programs: [
      {
        id: 'trip-pocket',
        name: 'Trip Pocket',
        services: ['check in', 'show ticket to {city}', 'book a room'],
      },
    ],
    apps: [
      { id: 'dev.world.northline', name: 'Northline Rail' },
      { id: 'dev.world.stay', name: 'Stay Finder' },
    ],
  },
  {
    name: 'baby',
    category: 'baby and family',
    merchants: [
      { name: 'Little Acorn', items: ['nappies', 'baby clothes', 'pram'], price: [8, 420], channel: 'POS' },
      {
        name: 'Cradle Pharmacy',
        items: ['infant formula', 'baby thermometer'],
        price: [6, 48],
        channel: 'QR',
      },
      { name: 'Story Bear Books', items: ['picture books'], price: [7, 35], channel: 'ONLINE' },
    ],
    queries: [
      '{stage} baby sleep',
      'what to buy for a {stage} baby',
      '{stage} baby vaccination',
      'crying {stage} baby at night',
    ],
    slots: { stage: ['newborn', 'two month old', 'four month old', 'six month old', 'teething', 'crawling'] },
    site: 'little-acorn',
    blocks: ['essentials', 'advice', 'prams'],
    titles: [
      'Checklist for a {stage} baby',
      'Prams compared',
      'Sleep and the {stage} baby',
      'Parental leave explained',
    ],
    programs: [
      {
        id: 'clinic-line',
        name: 'Clinic Line',
        services: ['book a check-up', 'vaccination record', 'ask a midwife'],
      },
    ],
    apps: [
      { id: 'dev.world.lullaby', name: 'Lullaby Log' },
      { id: 'dev.world.acorn', name: 'Little Acorn' },
    ],
  },
  {
    name: 'home',
    category: 'home and furniture',
    merchants: [
      {
        name: 'Plank & Nail',
        items: ['paint and brushes', 'shelves', 'drill'],
        price: [9, 260],
        channel: 'POS',
      },
      { name: 'Room Nine', items: ['sofa', 'lamp', 'rug'], price: [25, 900], channel: 'ONLINE' },
      {
        name: 'Moving Brothers',
        items: ['removal van', 'moving boxes'],
        price: [30, 480],
        channel: 'TRANSFER',
      },
    ],
    queries: ['how to {job}', 'cost to {job}', 'who can {job}', 'tools to {job}'],
    slots: {
      job: [
        'paint a bedroom',
        'hang shelves',
        'lay a wooden floor',
        'tile a bathroom',
        'move house',
        'fix a tap',
      ],
    },
    site: 'room-nine',
    blocks: ['rooms', 'tools', 'ideas'],
    titles: ['Plan a room', 'How to {job}', 'Small flats, big ideas', 'Delivery of large items'],
    programs: [
      { id: 'handy-hire', name: 'Handy Hire', services: ['hire a helper', 'get a quote', 'rent a drill'] },
    ],
    apps: [
      { id: 'dev.world.roomnine', name: 'Room Nine' },
      { id: 'dev.world.flatfind', name: 'Flat Finder' },
    ],
  },
  {
    name: 'investing',
    category: 'savings and investments',
    merchants: [
      {
        name: 'Evergreen Invest',
        items: ['monthly savings plan', 'fund purchase'],
        price: [50, 1_500],
        channel: 'AUTO_DEBIT',
      },
      {
        name: 'Ledger Broker',
        items: ['share purchase', 'bond purchase'],
        price: [80, 2_500],
        channel: 'TRANSFER',
      },
    ],
    queries: [
      '{asset} outlook',
      'how to start with {asset}',
      'tax on {asset}',
      'are {asset} safe now',
      '{asset} or a savings account',
    ],
    slots: { asset: ['index funds', 'government bonds', 'gold', 'dividend shares', 'money market funds'] },
    site: 'evergreen-invest',
    blocks: ['markets', 'my portfolio', 'learn'],
    titles: ['{asset} explained', 'Your monthly plan', 'Market close', 'Fees of {asset}'],
    programs: [
      { id: 'penny-plan', name: 'Penny Plan', services: ['raise my plan', 'see returns', 'buy a fund'] },
    ],
    apps: [
      { id: 'dev.world.evergreen', name: 'Evergreen Invest' },
      { id: 'dev.world.ticker', name: 'Quiet Ticker' },
    ],
  },
  {
    name: 'borrowing',
    category: 'loans and credit',
    merchants: [
      {
        name: 'Bridge Credit',
        items: ['loan instalment', 'loan fee'],
        price: [40, 600],
        channel: 'AUTO_DEBIT',
      },
      { name: 'Pay Later Desk', items: ['instalment', 'late fee'], price: [10, 150], channel: 'ONLINE' },
    ],
    queries: [
      '{loan} with low income',
      'pause my {loan}',
      '{loan} interest rate',
      'what if I miss a {loan} payment',
      'refinance a {loan}',
    ],
    slots: { loan: ['small loan', 'car loan', 'credit card', 'overdraft', 'instalment plan'] },
    site: 'bridge-credit',
    blocks: ['apply', 'my loan', 'help'],
    titles: [
      '{loan}: rates today',
      'Ask for a payment break',
      'Your repayment plan',
      'What a late payment of a {loan} means',
    ],
    programs: [
      {
        id: 'credit-view',
        name: 'Credit View',
        services: ['check my score', 'repay early', 'apply for a loan'],
      },
    ],
    apps: [
      { id: 'dev.world.bridge', name: 'Bridge Credit' },
      { id: 'dev.world.paylater', name: 'Pay Later' },
    ],
  },
  {
    name: 'jobs',
    category: 'jobs and careers',
    merchants: [
      { name: 'Career Print', items: ['CV printing', 'portrait photo'], price: [6, 60], channel: 'POS' },
      {
        name: 'Skill Forge',
        items: ['online course', 'certificate fee'],
        price: [19, 240],
        channel: 'ONLINE',
      },
    ],
    queries: [
      '{role} jobs near me',
      '{role} salary',
      'interview questions for {role}',
      'CV for {role}',
      'remote {role} work',
    ],
    slots: { role: ['nurse', 'accountant', 'web developer', 'warehouse', 'teacher', 'project manager'] },
    site: 'open-desk-jobs',
    blocks: ['search', 'alerts', 'advice'],
    titles: [
      '{role}: 48 open positions',
      'Unemployment benefit: first steps',
      'Write a CV as {role}',
      'Job alerts',
    ],
    programs: [
      {
        id: 'open-desk',
        name: 'Open Desk',
        services: ['apply in one tap', 'set an alert', 'book an adviser'],
      },
    ],
    apps: [
      { id: 'dev.world.opendesk', name: 'Open Desk Jobs' },
      { id: 'dev.world.skillforge', name: 'Skill Forge' },
    ],
  },
  {
    name: 'climbing',
    category: 'outdoor sport',
    merchants: [
      { name: 'Boulder Barn', items: ['climbing entry', 'beginner course'], price: [11, 95], channel: 'QR' },
      {
        name: 'Summit Outfitters',
        items: ['climbing shoes', 'harness', 'chalk bag'],
        price: [14, 170],
        channel: 'POS',
      },
    ],
    queries: [
      'climbing {thing} for beginners',
      'best climbing {thing}',
      'climbing {thing} near me',
      'how to choose a climbing {thing}',
    ],
    slots: { thing: ['course', 'shoe', 'harness', 'wall', 'rope', 'crag'] },
    site: 'summit-outfitters',
    blocks: ['shoes', 'ropes', 'courses'],
    titles: [
      'Your first climbing {thing}',
      'Routes near you',
      'Knots in five minutes',
      'Climbing {thing}: what to look for',
    ],
    programs: [
      { id: 'boulder-barn', name: 'Boulder Barn', services: ['check in', 'book a course', 'find a partner'] },
    ],
    apps: [
      { id: 'dev.world.crag', name: 'Crag Guide' },
      { id: 'dev.world.topo', name: 'Topo Log' },
    ],
  },
  {
    name: 'gardening',
    category: 'garden',
    merchants: [
      {
        name: 'Fern & Furrow',
        items: ['seedlings', 'potting soil', 'rose bush'],
        price: [5, 85],
        channel: 'POS',
      },
      { name: 'Seed Post', items: ['seed box', 'bulbs'], price: [6, 38], channel: 'ONLINE' },
    ],
    queries: [
      'when to plant {plant}',
      '{plant} turning yellow',
      'best soil for {plant}',
      '{plant} on a balcony',
    ],
    slots: { plant: ['tomatoes', 'lavender', 'roses', 'basil', 'tulips', 'runner beans'] },
    site: 'fern-and-furrow',
    blocks: ['this month', 'plants', 'pests'],
    titles: ['{plant}: month by month', 'A garden on a balcony', 'Slugs and what helps', 'Care for {plant}'],
    programs: [
      {
        id: 'leaf-doctor',
        name: 'Leaf Doctor',
        services: ['identify a plant', 'water reminder', 'ask a gardener'],
      },
    ],
    apps: [
      { id: 'dev.world.leaf', name: 'Leaf Doctor' },
      { id: 'dev.world.seedpost', name: 'Seed Post' },
    ],
  },
]
