/** English words that instructions, answers, shops and searches are made of: so that our small tokenizers know them whole. */

/** Lower case, no order. */
export const COMMON_WORDS: readonly string[] = `
a about above accept account across action active activity actual add address after again against age agree ahead air all allow
almost alone along already also although always am among amount an and animal another answer any anybody anything apart app
appear apply approach approve april are area around arrive art article as ask at august autumn available average avoid away back
bad bag balance bank base basic basket be because become bed been before begin behaviour behind being believe belong below
benefit beside best better between beyond big bill bird birthday black block board body bonus book boot border borrow both
bottle box boy brand bread break breakfast bring brother brown browse budget build building burn business but buy by cable cake
call camera can cancel cannot car card care carry case cash cat catch cause central chain chair chance change channel charge
chat cheap check cheese child children choice choose church city class clean clear click clock close clothes cloud club coat
cold collect college colour come comfort common community compare complain complete concern condition confirm connect consider
contact contain content continue contract control cook cool copy corner correct cost could count country couple course cover
create credit critic crowd culture current customer cut cycle daily damage dance danger dark data date daughter day dead deal
death debt december decide decrease deep default delay deliver demand depart department depend deposit describe design detail
develop device did diet differ difference different difficult dinner direct discount discuss disease dish distance do doctor
does dog door double doubt down download draw dream dress drink drive drop dry due during duty each early earn earth east easy
eat economy edge education effect egg eight either elder electric else email employ empty end energy engine enjoy enough enter
entire equal error escape estimate even evening event ever every everything evidence exact example except exchange exercise
exit expect expensive experience explain expire extra eye face fact factory fail fair fall false family famous far farm fashion
fast fat father favourite fear feature february fee feed feel female few field fight figure fill film final finance find finger
finish fire first fish fit five fix flat flight floor flow flower fly follow food foot football for force foreign forest
forget form former forward found four frame free frequent fresh friday friend from front fruit fuel full fun function fund
future gain game garden gas gave general get gift girl give glad glass go goal gold good goods government grade grand grant
green grey grocery ground group grow growth guess guest guide habit had hair half hand happen happy hard harm has hat have he
head health hear heart heat heavy help her here high hill him his history hit hobby hold hole holiday home hope horror hospital
hot hotel hour house household how however huge human hundred husband ice idea if ill image important improve in include income
increase indeed indoor industry information inside install instead instruction insurance intend intent interest internet into
invest investment invite is island issue it item its itself january job join journey judge july jump june just keep key kid
kind king kitchen know label lack lady lake land language large last late later laugh law lead leaf learn least leave left leg
lend less lesson let letter level library licence lie life light like likely limit line link list listen literature little live
living load loan local lock lonely long look lose loss lost lot love low lower loyal luck lunch machine made magazine mail main
make male man manage many map march mark market marry match material matter may maybe me meal mean measure meat media medicine
meet member memory mention menu message metal method middle might mile milk million mind mini minor minute miss mobile model
modern moment monday money month mood moon more morning mortgage most mother motor mountain mouth move movie much music must my
name nation nature near nearly necessary need negative neighbour neither network never new news next nice night nine no nobody
noise none nor normal north nose not note nothing notice novel november now number object obtain occur ocean october of off
offer office official often oil old on once one online only open operate opinion option or orange order ordinary organise
origin other our out outside over overdue own owner pack package page pain paint pair paper parcel parent park part partner
party pass passenger past path pattern pause pay payment peace pen pension people per percent perfect perhaps period person
personal phone photo pick picture piece pink place plan plane plant plastic platform play please pleasure plus point police
policy poor popular port positive possible post potential pound power practice predict prefer pregnant prepare present
president press pretty price print private prize probable problem process produce product professional profile profit program
programme promise proof property protect proud prove provide public pull purchase purple purpose push put quality quarter queen
question quick quiet quite race rail rain raise range rare rate rather rating reach read ready real reason receive recent
recommend record red reduce refund refuse region regular relate relationship release remain remember reminder remote remove
rent repair repay repeat replace reply report request require rescue research reserve respect respond rest result retire return
review reward rich ride right ring rise risk river road rock role room round route rule run safe salary sale salt same sand
saturday save say scale school science score sea search season seat second secret section secure see seem segment sell send
senior sense sentence separate september series serious serve service session set settle seven several shape share sharp she
shelf ship shirt shoe shoes shop short should shoulder show shower shut sick side sign silent silver similar simple since sing
single sister sit six size skill skin skip sky sleep slow small smart smile smoke snow so social soft solar sold solve some
somebody someone son song soon sound source south space speak special speed spend spending sport spring square stable staff
stage stand star start state station status stay steal step still stock stone stop store storm story strange stranger stream
street stress strong student study style subject subscribe success such sudden sugar suggest suit summarise summary summer sun
sunday supply support suppose sure surprise survey sweet swim switch system table take talk tall target taste tax taxi tea
teach team technical telephone television tell ten tend term test than thank that the their them then there these they thin
thing think third this those though thousand three through throw thursday ticket tie time tiny tired title to today together
tomorrow tonight too tool top total touch tour tourist toward town toy track trade tradition traffic train transfer transport
travel treat tree trend trip trouble true trust try tuesday turn twelve twenty two type under understand unit university unlike
until up update upgrade upon urgent us use used useful user usual value various vegetable very via video view village visit
voice wait walk wall wallet want war warm warn was wash waste watch water way we weak wealth wear weather website wedding
wednesday week weekend weekly weight welcome well went were west wet what wheel when where whether which while white who whole
whom whose why wide wife wild will win wind window wine winter wish with within without woman wonder wood word work worker
world worry worth would write wrong year yellow yes yesterday yet you young your yourself youth zero zone
`
  .trim()
  .split(/\s+/)
